package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A section's tables replace its own and nothing else.
func TestPageReplacesOneSection(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	before := "# Page\n" + beginOf("b-one") + "\nkept\n" + endOf("b-one") + "\nprose\n" + beginOf("c") + "\nold\n" + endOf("c") + "\nend\n"
	if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &report{section: "c", measuredOn: "a machine", tables: []table{{title: "T", columns: []string{"who", "p50"}, rows: [][]string{{"x", "1 ms"}}}}}
	if err := page(path).replace(r); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := "# Page\n" + beginOf("b-one") + "\nkept\n" + endOf("b-one") + "\nprose\n" + beginOf("c") +
		"\n\n`a machine`\n\n### T\n\n| who | p50 |\n|---|---:|\n| x | 1 ms |\n\n" + endOf("c") + "\nend\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("page (-want +got):\n%s", diff)
	}
}

func TestPageWithoutMarkers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, []byte("# Page\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := path + ": the page lacks the markers that the tables of section c go between: put these two lines into it:\n" + beginOf("c") + "\n" + endOf("c")
	if err := page(path).check([]section{{name: "c"}}); err == nil || err.Error() != want {
		t.Errorf("check() = %v, want %q", err, want)
	}
}

// The page that is kept has a place for every section.
func TestKeptPageHasEverySection(t *testing.T) {
	if err := page(filepath.Join("..", "..", "docs", "performance.md")).check(sections); err != nil {
		t.Error(err)
	}
}

func TestChoose(t *testing.T) {
	for only, want := range map[string][]string{
		"c":           {"c"},
		"b":           {"b-one", "b-hundred", "b-hot"},
		"f,b-hot,a":   {"a", "b-hot", "f"},
		"a,b,c,d,e,f": sectionNames(sections),
		"b,b-hot":     {"b-one", "b-hundred", "b-hot"},
		"a,":          nil,
		"x":           nil,
	} {
		chosen, err := choose(only)
		if (err != nil) != (want == nil) {
			t.Errorf("choose(%q): %v", only, err)
		}
		if diff := cmp.Diff(want, sectionNames(chosen)); diff != "" {
			t.Errorf("choose(%q) (-want +got):\n%s", only, diff)
		}
	}
	const want = `there is no section "x": name some of a, b, b-hot, b-hundred, b-one, c, d, e, f`
	if _, err := choose("a,x"); err == nil || err.Error() != want {
		t.Errorf("choose() = %v, want %q", err, want)
	}
}
