package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// report is what a section found out.
type report struct {
	section string
	// measuredOn is the machine, and the commit.
	measuredOn string
	tables     []table
	marks      []mark
}

// table is a block of figures. The first column holds names.
type table struct {
	title   string
	columns []string
	rows    [][]string
	notes   []string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// mark is what a figure should reach.
type mark struct {
	of, want, got string
	reached       bool
}

func (m mark) verdict() string {
	if m.reached {
		return "reached"
	}
	return "missed"
}

func marksTable(section string, marks []mark) table {
	t := table{title: fmt.Sprintf("(%s) Marks", section), columns: []string{"figure", "mark", "measured", ""}}
	for _, m := range marks {
		t.add(m.of, m.want, m.got, m.verdict())
	}
	return t
}

// all are the section's tables with the one of its marks.
func (r *report) all() []table {
	if len(r.marks) == 0 {
		return r.tables
	}
	return append(r.tables[:len(r.tables):len(r.tables)], marksTable(r.letter(), r.marks))
}

// letter is the section's in titles.
func (r *report) letter() string { return section{name: r.section}.letter() }

func (r *report) print(out io.Writer) {
	_, _ = fmt.Fprintf(out, "\n%s\n", r.measuredOn)
	for _, t := range r.all() {
		t.print(out)
	}
}

// print writes an aligned table for a terminal.
func (t table) print(out io.Writer) {
	widths := t.widths()
	_, _ = fmt.Fprintf(out, "\n%s\n", t.title)
	for i, row := range append([][]string{t.columns}, t.rows...) {
		_, _ = fmt.Fprintln(out, "  "+strings.TrimRight(strings.Join(padded(row, widths), "  "), " "))
		if i == 0 {
			_, _ = fmt.Fprintln(out, "  "+strings.Repeat("-", sum(widths)+2*(len(widths)-1)))
		}
	}
	for _, note := range t.notes {
		_, _ = fmt.Fprintln(out, "  "+note)
	}
}

// markdown writes the same for a page.
func (t table) markdown(out io.Writer) {
	_, _ = fmt.Fprintf(out, "\n### %s\n\n| %s |\n|---%s|\n", t.title, strings.Join(t.columns, " | "), strings.Repeat("|---:", len(t.columns)-1))
	for _, row := range t.rows {
		_, _ = fmt.Fprintf(out, "| %s |\n", strings.Join(row, " | "))
	}
	for _, note := range t.notes {
		_, _ = fmt.Fprintf(out, "\n%s\n", note)
	}
}

func (t table) widths() []int {
	widths := make([]int, len(t.columns))
	for _, row := range append([][]string{t.columns}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	return widths
}

// padded has names to the left and figures to the right.
func padded(row []string, widths []int) []string {
	cells := make([]string, len(row))
	for i, cell := range row {
		space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if i == 0 {
			cells[i] = cell + space
		} else {
			cells[i] = space + cell
		}
	}
	return cells
}

func sum(numbers []int) (total int) {
	for _, n := range numbers {
		total += n
	}
	return total
}
