package watch_test

import (
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/watch"
)

func TestACommandBeginsALineOfACommentsOwnText(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ body, want string }{
		"alone":                                     {"/sre-agent retry", "retry"},
		"each of them: stop":                        {"/sre-agent stop", "stop"},
		"each of them: why":                         {"/sre-agent why", "why"},
		"each of them: off":                         {"/sre-agent off", "off"},
		"with a reason after it":                    {"/sre-agent stop we do this by hand", "stop"},
		"after some text":                           {"Thanks!\n\n/sre-agent retry\n", "retry"},
		"right below some text":                     {"Thanks!\n/sre-agent retry", "retry"},
		"with the line ends of a browser":           {"Hello\r\n/sre-agent why\r\nbye", "why"},
		"indented a little":                         {"   /sre-agent why", "why"},
		"with a tab between":                        {"/sre-agent\twhy", "why"},
		"the first of two":                          {"/sre-agent why\n/sre-agent off", "why"},
		"below an unknown one":                      {"/sre-agent dance\n/sre-agent why", "why"},
		"after a quote and an empty line":           {"> /sre-agent off\n\n/sre-agent why", "why"},
		"after a block of code":                     {"```\n/sre-agent off\n```\n/sre-agent why", "why"},
		"after a comment of HTML":                   {"<!-- /sre-agent off -->\n/sre-agent why", "why"},
		"after a code span":                         {"I mean `off`.\n/sre-agent why", "why"},
		"nothing":                                   {"", ""},
		"no command":                                {"LGTM", ""},
		"only the name":                             {"/sre-agent", ""},
		"in the middle of a line":                   {"please /sre-agent off", ""},
		"capitals":                                  {"/SRE-AGENT OFF", ""},
		"an unknown word":                           {"/sre-agent merge", ""},
		"a word that begins like one":               {"/sre-agent offline", ""},
		"glued together":                            {"/sre-agentoff", ""},
		"another tool's":                            {"/sre-agents off", ""},
		"over two lines":                            {"/sre-agent\noff", ""},
		"quoted":                                    {"> /sre-agent off", ""},
		"quoted without a blank":                    {">/sre-agent off", ""},
		"quoted twice":                              {"> > /sre-agent off", ""},
		"a quote that goes on lazily":               {"> somebody said\n/sre-agent off", ""},
		"a quote, indented":                         {"  > said\n  /sre-agent off", ""},
		"in a block of code":                        {"```\n/sre-agent off\n```", ""},
		"in a block of code with a language":        {"```sh\n/sre-agent off\n```", ""},
		"in a longer fence":                         {"````\n```\n/sre-agent off\n````", ""},
		"in a fence of tildes":                      {"~~~\n/sre-agent off\n~~~", ""},
		"in a fence that another one does not end":  {"~~~\n```\n/sre-agent off\n~~~", ""},
		"in a fence that never ends":                {"```\n\n\n/sre-agent off", ""},
		"in a fence with text after the end":        {"```\n``` x\n/sre-agent off\n```", ""},
		"in a fence of a list":                      {"- ```\n  /sre-agent off\n  ```", ""},
		"in a fence of a numbered list":             {"1. ```\n/sre-agent off\n   ```", ""},
		"in a fence of a quote":                     {"> ```\n/sre-agent off\n> ```", ""},
		"indented as code":                          {"    /sre-agent off", ""},
		"indented by a tab":                         {"\t/sre-agent off", ""},
		"in a code span":                            {"`/sre-agent off`", ""},
		"in a code span of two lines":               {"`see\n/sre-agent off\nthere`", ""},
		"in a code span of two backticks":           {"``see `\n/sre-agent off\n``", ""},
		"as an item of a list":                      {"- /sre-agent off", ""},
		"as a heading":                              {"# /sre-agent off", ""},
		"in bold":                                   {"**/sre-agent off**", ""},
		"in a comment of HTML":                      {"<!--\n/sre-agent off\n-->", ""},
		"in a comment of HTML that never ends":      {"<!-- x\n\n/sre-agent off", ""},
		"in preformatted HTML":                      {"<pre>\n/sre-agent off\n</pre>", ""},
		"in HTML's code":                            {"<CODE>\n/sre-agent off\n</CODE>", ""},
		"in HTML's quote":                           {"<blockquote>\n\n/sre-agent off\n</blockquote>", ""},
		"in folded details":                         {"<details><summary>log</summary>\n\n/sre-agent off\n\n</details>", ""},
		"after a second comment that opens":         {"<!-- a --> <!-- b\n/sre-agent off\n-->", ""},
		"turned around":                             {"\u202e/sre-agent off", ""},
		"turned around inside":                      {"/sre-agent \u202eoff", ""},
		"with a letter that can't be seen":          {"/sre-agent\u200b off", ""},
		"with a blank that is none":                 {"/sre-agent\u00a0off", ""},
		"with a letter of another alphabet":         {"/sre-\u0430gent off", ""},
		"with a full-width slash":                   {"\uff0fsre-agent off", ""},
		"with a byte order mark":                    {"\ufeff/sre-agent off", ""},
		"with a zero byte":                          {"\x00/sre-agent off", ""},
		"with bytes that are no text":               {"\xff\xfe/sre-agent off", ""},
		"with an escape":                            {"\x1b[2K/sre-agent off", ""},
		"a line of another kind of end":             {"hello\u2028/sre-agent off", ""},
		"an old Mac's line end":                     {"hello\r/sre-agent off", ""},
		"a form feed":                               {"hello\f/sre-agent off", ""},
		"a megabyte before it":                      {strings.Repeat("x\n", 1<<19) + "/sre-agent off", ""},
		"a megabyte of backticks":                   {strings.Repeat("`", 1<<20) + "\n/sre-agent off", ""},
		"a megabyte of quotes":                      {strings.Repeat(">", 1<<20) + "\n/sre-agent off", ""},
		"a megabyte of list marks":                  {strings.Repeat("- ", 1<<19) + "\n/sre-agent off", ""},
		"a megabyte of HTML that opens and closes":  {strings.Repeat("<!---->", 1<<17) + "\n/sre-agent off", ""},
		"a mention of the command in a table":       {"| /sre-agent off | x |\n|---|---|", ""},
		"an e-mail's reply with the original below": {"no thanks\n\nOn Monday bob wrote:\n> /sre-agent off", ""},
	} {
		if got := watch.Command(tt.body); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestSomeCommentsDoNotSpeak(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		comment watch.Comment
		want    bool
	}{
		"a person's":                  {watch.Comment{ID: "1", Author: "ada", Body: "/sre-agent off"}, true},
		"our own":                     {watch.Comment{ID: "1", Author: "sre-agent", Body: "/sre-agent off\n<!-- sre-agent talk run=1 -->"}, false},
		"one that looks like our own": {watch.Comment{ID: "1", Author: "ada", Body: "<!-- sre-agent -->\n/sre-agent off"}, false},
		"our own on a forge that shows HTML as text": {watch.Comment{ID: "1", Author: "sre-agent", Body: "/sre-agent off\n\n[//]: # (sre-agent talk run=1)"}, false},
		"an app's":              {watch.Comment{ID: "1", Author: "github-actions[bot]", Body: "/sre-agent off"}, false},
		"a program's on GitLab": {watch.Comment{ID: "1", Author: "project_42_bot_0a1b2c", Body: "/sre-agent off"}, false},
		"a group's program":     {watch.Comment{ID: "1", Author: "group_7_bot", Body: "/sre-agent off"}, false},
		"a service account's":   {watch.Comment{ID: "1", Author: "service_account_group_7_ab", Body: "/sre-agent off"}, false},
		"one called like a bot": {watch.Comment{ID: "1", Author: "project_bot", Body: "/sre-agent off"}, true},
		"one of a ghost":        {watch.Comment{ID: "1", Body: "/sre-agent off"}, false},
		"one without an id":     {watch.Comment{Author: "ada", Body: "/sre-agent off"}, false},
	} {
		if got := watch.Speaks(tt.comment); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzCommand(f *testing.F) {
	f.Add("> x\n/sre-agent off")
	f.Add("```\n/sre-agent off")
	f.Fuzz(func(t *testing.T, body string) {
		if got := watch.Command(body); got != "" && !strings.Contains(body, got) {
			t.Errorf("%q gives %q", body, got)
		}
		if got := watch.Command("```\n" + strings.ReplaceAll(body, "`", "") + "\n/sre-agent off\n"); got != "" {
			t.Errorf("a command in code: %q", body)
		}
	})
}
