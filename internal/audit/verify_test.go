package audit

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tampered is a log of three chains in one file, the middle one of 5 lines:
//
//	1 start    5 start      10 start
//	2 pod-0    6 pod-2      11 pod-5
//	3 pod-1    7 pod-3      12 end
//	4 end      8 pod-4
//	           9 end
func tampered(t *testing.T) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "access.log")
	logged(t, path, 0, 2)
	logged(t, path, 2, 5)
	logged(t, path, 5, 6)
	all := lines(read(t, path))
	if len(all) != 12 {
		t.Fatalf("%d lines, want 12", len(all))
	}
	return all
}

// refit makes line n follow the line before it, as somebody does who knows the
// format.
func refit(t *testing.T, all []string, n int) {
	t.Helper()
	e, err := parse([]byte(all[n-1]))
	if err != nil {
		t.Fatal(err)
	}
	e.Prev = hashOf([]byte(all[n-2]))
	all[n-1] = string(e.appendTo(nil))
}

func change(all []string, n int) {
	all[n-1] = strings.Replace(all[n-1], `"owner":"alice"`, `"owner":"mallory"`, 1)
}

// Each change of a log is found, at its line.
func TestTamperingIsFound(t *testing.T) {
	tests := map[string]struct {
		act  func(t *testing.T, all []string) []string
		want string
	}{
		"nothing": {func(_ *testing.T, all []string) []string { return all }, ""},
		"deleted": {func(_ *testing.T, all []string) []string { return slices.Delete(all, 6, 7) },
			"log:7: it is record 3 of its chain, and the one before it is 1: records 2 to 2 were removed or moved"},
		"several deleted": {func(_ *testing.T, all []string) []string { return slices.Delete(all, 5, 8) },
			"log:6: it is record 4 of its chain, and the one before it is 0: records 1 to 3 were removed or moved"},
		"a start deleted": {func(_ *testing.T, all []string) []string { return slices.Delete(all, 4, 5) },
			"log:5: its chain has no beginning: it is record 1, and those before it are not there"},
		"the first start deleted": {func(_ *testing.T, all []string) []string { return slices.Delete(all, 0, 1) },
			"log:1: its chain has no beginning: it is record 1, and those before it are not there"},
		"an end deleted": {func(_ *testing.T, all []string) []string { return slices.Delete(all, 8, 9) },
			"log:8: it is not what the chain that starts at line 9 follows: it was changed, or lines between the two were removed"},
		"a chain deleted": {func(_ *testing.T, all []string) []string { return slices.Delete(all, 4, 9) },
			"log:4: it is not what the chain that starts at line 5 follows: it was changed, or lines between the two were removed"},
		"the first chain deleted": {func(_ *testing.T, all []string) []string { return slices.Delete(all, 0, 4) },
			"log:1: it follows a line that is not there: what stood before it was removed"},
		"changed": {func(_ *testing.T, all []string) []string { change(all, 7); return all },
			"log:7: it was changed: line 8 follows another"},
		"changed, the last before the end": {func(_ *testing.T, all []string) []string { change(all, 8); return all },
			"log:8: it does not fit line 9: one of the two was changed or added"},
		"changed, and the next refitted": {func(t *testing.T, all []string) []string { change(all, 6); refit(t, all, 7); return all },
			"log:7: it was changed: line 8 follows another"},
		"a start changed": {func(_ *testing.T, all []string) []string {
			all[4] = strings.Replace(all[4], "operator-1", "operator-2", 1)
			return all
		}, "log:5: it was changed: line 6 follows another"},
		"an end changed": {func(_ *testing.T, all []string) []string {
			all[3] = strings.Replace(all[3], endShutdown, endRotation, 1)
			return all
		}, "log:4: it is not what the chain that starts at line 5 follows: it was changed, or lines between the two were removed"},
		"a character added": {func(_ *testing.T, all []string) []string { all[6] += " "; return all },
			"log:7: it is not written as the operator writes"},
		"swapped": {func(_ *testing.T, all []string) []string { all[5], all[6] = all[6], all[5]; return all },
			"log:6: it is record 2 of its chain, and the one before it is 0: records 1 to 1 were removed or moved"},
		"cut in a line": {func(_ *testing.T, all []string) []string { all[6] = all[6][:60]; return all },
			"log:7: it is no record of the access log: unexpected end of JSON input"},
		"emptied": {func(_ *testing.T, all []string) []string { all[6] = ""; return all },
			"log:7: it is no record of the access log"},
		"a record repeated": {func(_ *testing.T, all []string) []string { return slices.Insert(all, 7, all[6]) },
			"log:8: it repeats a record of its chain that stands before it"},
		"an earlier record repeated": {func(_ *testing.T, all []string) []string { return slices.Insert(all, 8, all[5]) },
			"log:9: it is record 1 of its chain and stands after record 3: repeated, or moved"},
		"a chain repeated": {func(_ *testing.T, all []string) []string { return append(all, all[4:9]...) },
			"log:13: it repeats a record of its chain that stands before it"},
		"a record added": {func(_ *testing.T, all []string) []string {
			all = slices.Insert(all, 6, all[6])
			change(all, 7) // it follows line 6, as line 8 does
			return all
		}, "log:7: it was added: line 8 is that record of its chain"},
		"a record added behind": {func(_ *testing.T, all []string) []string {
			all = slices.Insert(all, 7, all[6])
			change(all, 8)
			return all
		}, "log:8: it was changed or added: it does not fit line 7, nor does line 9 follow it"},
		"a record added after the end": {func(t *testing.T, all []string) []string {
			e, err := parse([]byte(all[7]))
			if err != nil {
				t.Fatal(err)
			}
			e.Seq, e.Prev = 5, hashOf([]byte(all[8]))
			return slices.Insert(all, 9, string(e.appendTo(nil)))
		}, "log:10: it stands after the end of its chain, which is line 9"},
		"another program's line": {func(_ *testing.T, all []string) []string { return slices.Insert(all, 6, `{"level":"info"}`) },
			"log:7: it is no record of the access log"},
		"a line too long": {func(_ *testing.T, all []string) []string {
			return slices.Insert(all, 6, linePrefix+strings.Repeat("0", 3*MaxLineLength))
		}, "log:7: it is longer than 262144 bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			text := strings.Join(tt.act(t, tampered(t)), "\n") + "\n"
			got := verifyText(text)
			if tt.want == "" && got == nil {
				return
			}
			if len(got) != 1 || got[0] != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// Lines of another file's chain are found, whether that file is given too or not.
func TestSplicedLinesAreFound(t *testing.T) {
	folder := t.TempDir()
	other := filepath.Join(folder, "other.log")
	logged(t, other, 10, 15)
	theirs := lines(read(t, other))
	whole := func(part []string) []string { return slices.Insert(tampered(t), 6, part...) }
	tests := map[string]struct {
		text        []string
		alone, both string
	}{
		"a record": {whole(theirs[2:3]), "log:7: its chain has no beginning: it is record 2, and those before it are not there",
			"log:7: it stands elsewhere too: record 2 of its chain is in other.log"},
		"its first records": {whole(theirs[:3]), "log:7: it begins a file, and other lines stand before it",
			"log:7: it begins a file, and other lines stand before it"},
		"all of it, at the end": {append(tampered(t), theirs...), "log:13: it begins a file, and other lines stand before it",
			"log:13: it begins a file, and other lines stand before it"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			text := strings.Join(tt.text, "\n") + "\n"
			if diff := cmp.Diff([]string{tt.alone}, verifyText(text)); diff != "" {
				t.Errorf("alone (-want +got):\n%s", diff)
			}
			v := &Verifier{}
			v.Read("log", strings.NewReader(text))
			if diff := cmp.Diff([]string{tt.both}, verify(t, v, other)); diff != "" {
				t.Errorf("with the other (-want +got):\n%s", diff)
			}
		})
	}
}

// A log that is cut off at its end is found where something names what is gone,
// and is not otherwise.
func TestCutOffIsFoundByAnAnchor(t *testing.T) {
	all := tampered(t)
	begin, err := parse([]byte(all[9]))
	if err != nil {
		t.Fatal(err)
	}
	anchor := Anchor{Chain: begin.Chain, Seq: 1, Hash: hashOf([]byte(all[10]))}
	forged := anchor
	forged.Hash = someHash
	tests := map[string]struct {
		kept   int
		anchor Anchor
		want   []string
	}{
		"all is there":                {12, anchor, nil},
		"the end is gone":             {11, anchor, nil},
		"the record is gone":          {10, anchor, []string{"the record that the anchor " + anchor.String() + " names is not there"}},
		"the chain is gone":           {9, anchor, []string{"the record that the anchor " + anchor.String() + " names is not there"}},
		"the record is another":       {12, forged, []string{"log:11: it is not the record that the anchor " + forged.String() + " names"}},
		"cut in a line, no end of it": {0, Anchor{}, []string{"log:12: it is cut off: it has no end of line"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			v := &Verifier{}
			text := strings.Join(all[:tt.kept], "\n") + "\n"
			if tt.kept == 0 {
				text = strings.Join(all, "\n")
			} else {
				v.Anchors = []Anchor{tt.anchor}
			}
			v.Read("log", strings.NewReader(text))
			_, problems := v.Finish()
			var got []string
			for _, p := range problems {
				got = append(got, p.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Who rewrites a log from a line on to its end, hashes and all, is found by an
// anchor alone: a chain has no key.
func TestRewritingIsFoundByAnAnchor(t *testing.T) {
	all := tampered(t)
	begin, err := parse([]byte(all[9]))
	if err != nil {
		t.Fatal(err)
	}
	anchor := Anchor{Chain: begin.Chain, Seq: 2, Hash: hashOf([]byte(all[11]))}
	change(all, 7)
	for n := 8; n <= len(all); n++ {
		refit(t, all, n)
	}
	text := strings.Join(all, "\n") + "\n"
	if problems := verifyText(text); problems != nil {
		t.Errorf("without an anchor: %q", problems)
	}
	v := &Verifier{Anchors: []Anchor{anchor}}
	v.Read("log", strings.NewReader(text))
	_, problems := v.Finish()
	want := []Problem{{File: "log", Line: 12, What: "it is not the record that the anchor " + anchor.String() + " names"}}
	if diff := cmp.Diff(want, problems); diff != "" {
		t.Errorf("with an anchor (-want +got):\n%s", diff)
	}
}

// A chain on stdout goes on through files that others rotate, in any order, and
// lies among other lines.
func TestChainGoesThroughFiles(t *testing.T) {
	out := &pipe{}
	l := stdout(t, out)
	for n := range 6 {
		l.Write(use(n))
	}
	shut(t, l)
	all := lines(out.String())
	for i := len(all) - 1; i >= 0; i-- {
		all = slices.Insert(all, i, `{"level":"info"}`, strings.Repeat("x", 2*MaxLineLength))
	}
	parts := []string{strings.Join(all[:7], "\n") + "\n", strings.Join(all[7:14], "\n") + "\n", strings.Join(all[14:], "\n") + "\n"}
	for name, tt := range map[string]struct {
		order   []int
		partial bool
		want    []string
	}{
		"in order":              {[]int{0, 1, 2}, false, nil},
		"in another":            {[]int{2, 0, 1}, false, nil},
		"without the middle":    {[]int{0, 2}, false, []string{"2:1: records 2 to 3 of its chain were removed before it"}},
		"without the first":     {[]int{1, 2}, false, []string{"1:2: its chain has no beginning: it is record 2, and those before it are not there"}},
		"in part":               {[]int{1, 2}, true, nil},
		"in part, with a gap":   {[]int{0, 2}, true, []string{"2:1: records 2 to 3 of its chain were removed before it"}},
		"the same file twice":   {[]int{0, 1, 1, 2}, false, []string{"1:2: it stands elsewhere too: record 2 of its chain is in 1"}},
		"without the last file": {[]int{0, 1}, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			v := &Verifier{SkipOther: true, Partial: tt.partial}
			for _, n := range tt.order {
				v.Read(string(rune('0'+n)), strings.NewReader(parts[n]))
			}
			_, problems := v.Finish()
			var got []string
			for _, p := range problems {
				got = append(got, p.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Replicas' lines may lie between each other's, as where one program collects
// them.
func TestChainsMayMix(t *testing.T) {
	var mixed []string
	one, two := &pipe{}, &pipe{}
	for _, out := range []*pipe{one, two} {
		l := stdout(t, out)
		for n := range 3 {
			l.Write(use(n))
		}
		shut(t, l)
	}
	for n, line := range lines(one.String()) {
		mixed = append(mixed, line, lines(two.String())[n])
	}
	v := &Verifier{}
	v.Read("log", strings.NewReader(strings.Join(mixed, "\n")+"\n"))
	chains, problems := v.Finish()
	if len(chains) != 2 || problems != nil {
		t.Fatalf("chains %v, problems %v, want two and none", chains, problems)
	}
	for _, c := range chains {
		want := Chain{ID: c.ID, Replica: "operator-1", Version: "v1", Sink: "stdout", Records: 3, First: use(0).Time, Last: use(2).Time, End: endShutdown}
		if diff := cmp.Diff(want, c); diff != "" {
			t.Errorf("chain (-want +got):\n%s", diff)
		}
	}
}

// FuzzVerifier: no file makes it fail but by a problem that prints.
func FuzzVerifier(f *testing.F) {
	path := filepath.Join(f.TempDir(), "access.log")
	logged(f, path, 0, 2)
	text := read(f, path)
	f.Add([]byte(text))
	f.Add([]byte(text[:len(text)-1]))
	f.Add([]byte(text + text))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		for _, v := range []*Verifier{{}, {SkipOther: true, Partial: true}} {
			v.Read("log", strings.NewReader(string(content)))
			_, problems := v.Finish()
			for _, p := range problems {
				if strings.ContainsFunc(p.String(), func(r rune) bool { return r < 0x20 || r > 0x7e }) {
					t.Errorf("problem %q does not print", p)
				}
			}
		}
	})
}
