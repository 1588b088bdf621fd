package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// page is one in which tables are kept: what stands between a section's two
// markers is this program's, all else is a person's.
type page string

func beginOf(section string) string {
	return "<!-- bench: begin " + section + ". Written by `make bench`; what stands here is replaced. -->"
}

func endOf(section string) string { return "<!-- bench: end " + section + " -->" }

// check says what markers of some sections are missing, before anything is measured.
func (p page) check(chosen []section) error {
	content, err := os.ReadFile(string(p))
	if err != nil {
		return fmt.Errorf("reading the page: %w", err)
	}
	for _, k := range chosen {
		if _, err := between(string(content), k.name, ""); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	return nil
}

// replace writes a section's tables in the place of what stands there.
func (p page) replace(r *report) error {
	content, err := os.ReadFile(string(p))
	if err != nil {
		return fmt.Errorf("reading the page: %w", err)
	}
	var tables bytes.Buffer
	_, _ = fmt.Fprintf(&tables, "`%s`\n", r.measuredOn)
	for _, t := range r.all() {
		t.markdown(&tables)
	}
	text, err := between(string(content), r.section, tables.String())
	if err != nil {
		return fmt.Errorf("%s: %w", p, err)
	}
	if err := os.WriteFile(string(p), []byte(text), 0o644); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}

// between puts a text between a section's markers.
func between(content, section, text string) (string, error) {
	head, rest, begins := strings.Cut(content, beginOf(section))
	_, tail, ends := strings.Cut(rest, endOf(section))
	if !begins || !ends {
		return "", fmt.Errorf("the page lacks the markers that the tables of section %s go between: put these two lines into it:\n%s\n%s", section, beginOf(section), endOf(section))
	}
	return head + beginOf(section) + "\n\n" + text + "\n" + endOf(section) + tail, nil
}
