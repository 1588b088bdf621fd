package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"usersecrets.dev/operator/test/lab"
)

// describeMachine is what hack/machine.sh says.
func describeMachine(ctx context.Context) (string, error) {
	root, err := lab.ProjectRoot()
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, filepath.Join(root, "hack", "machine.sh")).Output()
	if err != nil {
		return "", fmt.Errorf("describing the machine: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// describeCommit is the commit of the checkout, and whether something was changed
// since; a page with figures may have been.
func describeCommit(ctx context.Context) string {
	root, err := lab.ProjectRoot()
	if err != nil {
		return "unknown"
	}
	git := func(args ...string) (string, error) {
		out, err := exec.CommandContext(ctx, "git", append([]string{"-C", root}, args...)...).Output()
		return strings.TrimSpace(string(out)), err
	}
	commit, err := git("rev-parse", "--short=12", "HEAD")
	if err != nil {
		return "unknown" // an archive has none
	}
	changed, err := git("status", "--porcelain", "--", ".", ":!docs")
	if err != nil || changed != "" {
		return commit + " with changes"
	}
	return commit
}

// load is the machine's load average of the last minute, this program's own
// doing included.
func load() string {
	content, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(content), " ")
	return first
}

const (
	calmWindow = time.Second
	// calmShare is the part of the machine's time that may be in use for it to
	// count as calm: a control plane at rest takes some percent.
	calmShare = 0.25
)

// settle waits until the machine is calm, so that one measurement does not pay
// for what the one before left to do; at most as long as given.
func settle(ctx context.Context, atMost time.Duration) {
	deadline := time.Now().Add(atMost)
	for ctx.Err() == nil && time.Now().Before(deadline) {
		busyBefore, allBefore := processorTime()
		pause(ctx, calmWindow)
		busy, all := processorTime()
		if all > allBefore && float64(busy-busyBefore)/float64(all-allBefore) < calmShare {
			return
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// processorTime is all processors' time in use and altogether, in ticks; zero
// where the system does not say (proc(5), /proc/stat).
func processorTime() (busy, all int64) {
	content, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := strings.Cut(string(content), "\n")
	for i, field := range strings.Fields(line) {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			continue // the line's name
		}
		// Fields 4 and 5 are idle time; from 9 on, guests' is counted already.
		if i < 9 {
			all += ticks
			if i != 4 && i != 5 {
				busy += ticks
			}
		}
	}
	return busy, all
}
