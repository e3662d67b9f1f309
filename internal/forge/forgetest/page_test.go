package forgetest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

const pageBody = "## What happened\n\nThe `gofmt` check **failed**, see [the run](https://example.com/run?a=1&b=2).\n\n" +
	"| step | result |\n|---|---|\n| gofmt | <b>red</b> |\n\n- one\n- two `<i>`\n\n> quoted\n\n" +
	"<details>\n<summary>log <script>alert(1)</script></summary>\n\n```\n<script>alert(2)</script>\n# not a heading\n```\n" +
	"<img src=x onerror=alert(3)>\n[x](javascript:alert(4)) [y](https://a\"onclick=alert(5))\n</details></details>\n</main>"

func TestThePageOfAPullRequestIsRenderedAndEscaped(t *testing.T) {
	s, re := startForge(t)
	work := t.TempDir()
	commit(t, work, "main", "a.html", "<b>old</b>\n")
	commit(t, work, "fix", "a.html", "<script>alert(6)</script>\n")
	git(t, work, writer, "push", "-q", re.CloneURL, "main", "fix")
	body, err := json.Marshal(map[string]string{"title": `<script>"title"`, "head": "fix", "base": "main", "body": pageBody})
	if err != nil {
		t.Fatal(err)
	}
	if status, got := ask(t, s, "POST", "/repos/acme/shop/pulls", writer, string(body)); status != 201 {
		t.Fatalf("create: %d %v", status, got)
	}
	resp, err := http.Get(s.PullRequests("acme", "shop")[0].URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, _ := io.ReadAll(resp.Body)
	page := string(raw)
	for _, want := range []string{
		"<h2>What happened</h2>", "<code>gofmt</code>", "<strong>failed</strong>", ">Open</span>",
		`<a href="https://example.com/run?a=1&amp;b=2" rel="noopener noreferrer">the run</a>`,
		"<th>step</th>", "<td>&lt;b&gt;red&lt;/b&gt;</td>", "<li>two <code>&lt;i&gt;</code></li>", "<blockquote>quoted",
		"<details><summary>log &lt;script&gt;alert(1)&lt;/script&gt;</summary>", "<pre><code>&lt;script&gt;alert(2)",
		"# not a heading", "&lt;img src=x", "[x](javascript:alert(4))", "&lt;/main&gt;",
		`<div class="del">-&lt;b&gt;old&lt;/b&gt;</div>`, `<div class="add">&#43;&lt;script&gt;alert(6)`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, never := range []string{"<script", "<img", `href="javascript`, `href="https://a"`, "<link", "url("} {
		if strings.Contains(page, never) {
			t.Errorf("the page holds %q", never)
		}
	}
	if strings.Count(page, "<details>") != strings.Count(page, "</details>") {
		t.Error("details are not balanced")
	}
	if csp := resp.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") {
		t.Errorf("Content-Security-Policy = %q", csp)
	}
	for _, path := range []string{"/acme/shop/pull/2", "/acme/shop/pull/x", "/acme/none/pull/1", "/acme/shop/pull/-1"} {
		resp, err := http.Get(s.URL() + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: %s, want 404", path, resp.Status)
		}
	}
}
