package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
)

// The markers in a page; what stands between them is this program's, all else is
// a person's.
const (
	pageBegin = "<!-- bench: begin. Written by `go run ./hack/bench -markdown`; what stands here is replaced. -->"
	pageEnd   = "<!-- bench: end -->"
)

var errNoMarkers = errors.New("the page lacks the markers that the tables go between: put these two lines into it:\n" + pageBegin + "\n" + pageEnd)

// replaceTables writes this run's tables into a page.
func replaceTables(path, machine string, reports []*report) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the page: %w", err)
	}
	head, rest, begins := strings.Cut(string(page), pageBegin)
	_, tail, ends := strings.Cut(rest, pageEnd)
	if !begins || !ends {
		return fmt.Errorf("%s: %w", path, errNoMarkers)
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s%s\n\n`%s`\n", head, pageBegin, machine)
	for _, r := range reports {
		for _, t := range r.all() {
			t.markdown(&out)
		}
	}
	fmt.Fprintf(&out, "\n%s%s", pageEnd, tail)
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}
