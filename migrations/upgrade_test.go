package migrations_test

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/migrations"
)

// During an upgrade the programs of the version before work on the new schema, so a migration adds, and takes nothing away
// that they use. What must break this rule says in a comment right above the statement, which begins with "-- Upgrade:",
// why the old programs can live with it.
var rules = []struct {
	what  string
	never *regexp.Regexp
}{
	{"drops something", regexp.MustCompile(`\bdrop (table|column|function|index|trigger|type|view|schema|sequence|default|not null)\b`)},
	{"renames something", regexp.MustCompile(`\brename\b`)},
	{"changes a type", regexp.MustCompile(`\balter( column)? \w+ (set data )?type\b`)},
	{"takes null away", regexp.MustCompile(`\bset not null\b`)},
	{"removes rows", regexp.MustCompile(`^(truncate|delete from)\b`)},
}

var (
	created    = regexp.MustCompile(`^create (?:unlogged )?table (?:if not exists )?(\w+)`)
	altered    = regexp.MustCompile(`^alter table (?:only )?(\w+)`)
	unique     = regexp.MustCompile(`^create unique index \w+ on (\w+)`)
	addColumn  = regexp.MustCompile(`\badd column [^,]*`)
	dropped    = regexp.MustCompile(`\bdrop constraint (?:if exists )?(\w+)`)
	addedCheck = regexp.MustCompile(`\badd constraint (\w+)`)
)

// problems are what an old program could not live with.
func problems(sql string) []string {
	var found []string
	fresh, added, gone := map[string]bool{}, map[string]bool{}, []string{}
	for _, s := range statements(sql) {
		if m := created.FindStringSubmatch(s.text); m != nil {
			fresh[m[1]] = true // no old program knows it
			continue
		}
		if m := altered.FindStringSubmatch(s.text); m != nil && fresh[m[1]] || s.excused {
			continue
		}
		for _, r := range rules {
			if r.never.MatchString(s.text) {
				found = append(found, fmt.Sprintf("%s: %s", r.what, s.text))
			}
		}
		for _, c := range addColumn.FindAllString(s.text, -1) {
			if strings.Contains(c, " not null") && !strings.Contains(c, " default ") && !strings.Contains(c, " generated ") {
				found = append(found, "a new column that old programs don't fill may not be null: "+c)
			}
		}
		if m := unique.FindStringSubmatch(s.text); m != nil && !fresh[m[1]] {
			found = append(found, "rows of old programs may not be unique: "+s.text)
		}
		for _, m := range dropped.FindAllStringSubmatch(s.text, -1) {
			gone = append(gone, m[1])
		}
		for _, m := range addedCheck.FindAllStringSubmatch(s.text, -1) {
			added[m[1]] = true
			if narrows := !slices.Contains(gone, m[1]) && !strings.Contains(s.text, "add column"); narrows {
				found = append(found, "rows of old programs may not fit: "+s.text)
			}
		}
	}
	for _, name := range gone {
		if !added[name] { // one that comes back, wider, is how a set of values grows
			found = append(found, "drops something: constraint "+name)
		}
	}
	return found
}

type statement struct {
	text    string
	excused bool
}

// statements are those of the way up, in small letters and on one line each; of a function, only how it begins.
func statements(sql string) (out []statement) {
	_, up, _ := strings.Cut(sql, "-- +goose Up")
	up, _, _ = strings.Cut(up, "-- +goose Down")
	var text strings.Builder
	var excused, body bool
	for line := range strings.Lines(up) {
		line = strings.TrimSpace(line)
		switch {
		case line == "-- +goose StatementBegin":
			body = true
		case line == "-- +goose StatementEnd":
			head, _, _ := strings.Cut(strings.ToLower(text.String()), " as $")
			out = append(out, statement{head, excused})
			text.Reset()
			body, excused = false, false
		case strings.HasPrefix(line, "-- Upgrade:"):
			excused = true
		case strings.HasPrefix(line, "--") || line == "":
		default:
			line, _, _ = strings.Cut(line, " -- ")
			text.WriteString(strings.ToLower(line) + " ")
			if strings.HasSuffix(line, ";") && !body {
				out = append(out, statement{strings.TrimSpace(text.String()), excused})
				text.Reset()
				excused = false
			}
		}
	}
	return out
}

func TestOldProgramsCanLiveWithEveryMigration(t *testing.T) {
	files, err := fs.Glob(migrations.Files, "*.sql")
	if err != nil || len(files) < 7 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		text, err := fs.ReadFile(migrations.Files, file)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems(string(text)) {
			t.Errorf("%s %s", file, p)
		}
	}
}

func TestWhatOldProgramsCouldNotLiveWithIsFound(t *testing.T) {
	for sql, want := range map[string]int{
		"alter table runs drop column state;":                                                1,
		"drop table runs, attempts;":                                                         1,
		"alter table runs rename column state to status;":                                    1,
		"alter table runs alter column fence type integer;":                                  1,
		"alter table runs alter column holder set not null;":                                 1,
		"alter table runs add column x text not null;":                                       1,
		"alter table runs\n    add column x text not null,\n    add column y text not null;": 2,
		"create unique index runs_once on runs (holder);":                                    1,
		"alter table runs add constraint runs_new check (fence > 1);":                        1,
		"alter table runs drop constraint runs_state;":                                       1,
		"delete from runs;":        1,
		"drop function claim_run;": 1,
		"alter table runs add column x text not null default '';":                                                       0,
		"alter table runs drop constraint runs_state, add constraint runs_state check (true);":                          0,
		"create table x (y text not null); create unique index x_y on x (y);":                                           0,
		"create table x (y text not null);\nalter table x add column z text not null;":                                  0,
		"-- Upgrade: nobody reads it since v1.2.0.\nalter table runs drop column state;":                                0,
		"-- +goose StatementBegin\ncreate or replace function f() as $$\ndelete from runs;\n$$\n-- +goose StatementEnd": 0,
	} {
		if got := problems("-- +goose Up\n" + sql + "\n-- +goose Down\ndrop table x;"); len(got) != want {
			t.Errorf("%s: %v, want %d", sql, got, want)
		}
	}
}
