package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc: USER_HZ is 100 on every Linux that Go runs on.
const tick = 10 * time.Millisecond

var errProc = errors.New("/proc says nothing of use: these figures need Linux")

// process is what proc(5) says of one in /proc/PID/stat.
type process struct {
	name      string
	parent    int
	processor time.Duration // since it started, user and system
}

func readProcess(pid int) (process, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, fmt.Errorf("%w: %w", errProc, err)
	}
	// The second field is the program's name in brackets, and may hold either.
	text := string(stat)
	opening, closing := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	fields := strings.Fields(text[max(closing, 0)+1:])
	const parent, utime, stime = 1, 11, 12 // fields 4, 14 and 15, counted from the third
	if opening < 0 || closing < opening || len(fields) <= stime {
		return process{}, errProc
	}
	var numbers [3]int64
	for i, at := range []int{parent, utime, stime} {
		if numbers[i], err = strconv.ParseInt(fields[at], 10, 64); err != nil {
			return process{}, fmt.Errorf("%w: %w", errProc, err)
		}
	}
	return process{
		name: text[opening+1 : closing], parent: int(numbers[0]),
		processor: time.Duration(numbers[1]+numbers[2]) * tick,
	}, nil
}

// memory is what was resident of a process, in bytes.
type memory struct {
	// peak is the most that was (VmHWM of /proc/PID/status).
	peak int64
	// file is what is of it pages of files, as good as all of the program itself
	// (RssFile): the system shares them and takes them back where memory is short.
	file int64
}

func memoryOf(pid int) (m memory, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return m, fmt.Errorf("%w: %w", errProc, err)
	}
	for line := range strings.Lines(string(status)) {
		_, _ = fmt.Sscanf(line, "VmHWM: %d kB", &m.peak) // other lines
		_, _ = fmt.Sscanf(line, "RssFile: %d kB", &m.file)
	}
	if m.peak == 0 {
		return m, errProc
	}
	return memory{peak: m.peak << 10, file: m.file << 10}, nil
}

// spent is the processor time of this program and of all that it started, by
// name. Unlike a rate, it does not depend on who else uses the machine.
type spent map[string]time.Duration

func spentSoFar() spent {
	all := map[int]process{}
	paths, _ := filepath.Glob("/proc/[0-9]*") // the pattern is well formed
	for _, path := range paths {
		pid, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			continue
		}
		if p, err := readProcess(pid); err == nil { // else it ended meanwhile
			all[pid] = p
		}
	}
	s := spent{}
	for pid := range all {
		if ours(all, pid) {
			s[all[pid].name] += all[pid].processor
		}
	}
	return s
}

// ours says whether a process is this one or descends from it.
func ours(all map[int]process, pid int) bool {
	for ; pid > 1; pid = all[pid].parent {
		if pid == os.Getpid() {
			return true
		}
	}
	return false
}

// since is what was spent after an earlier look.
func (s spent) since(before spent) spent {
	grown := spent{}
	for name, now := range s {
		grown[name] = now - before[name]
	}
	return grown
}

// String names those that took some, in order of their names.
func (s spent) String() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if s[name] > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", name, s[name]))
		}
	}
	return strings.Join(parts, ", ")
}

func (s spent) total() (all time.Duration) {
	for _, one := range s {
		all += one
	}
	return all
}
