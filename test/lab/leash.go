package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// leash ends processes that others start, here envtest's, when this process ends, however it
// does. Each runs below a small shell script that reads from a named pipe. Only this
// process holds the pipe's other end, and the kernel closes that with it.
type leash struct {
	dir, doomed string
	pipe        *os.File
}

// newLeash keeps its files in dir and has doomed removed when this process dies without cutting it.
func newLeash(dir, doomed string) (*leash, error) {
	path := filepath.Join(dir, "leash")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		return nil, fmt.Errorf("making the leash: %w", err)
	}
	// Opened both ways, for an open for writing alone waits for a reader. Go marks it close-on-exec: no child holds it.
	pipe, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the leash: %w", err)
	}
	return &leash{dir: dir, doomed: doomed, pipe: pipe}, nil
}

// tie returns an executable that runs binary with whatever arguments it gets.
func (l *leash) tie(binary string) (string, error) {
	script := strings.NewReplacer(
		"BINARY", quote(binary), "PIPE", quote(l.pipe.Name()), "DOOMED", quote(l.doomed),
	).Replace(leashScript)
	path := filepath.Join(l.dir, "leashed-"+filepath.Base(binary))
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		return "", fmt.Errorf("writing the leash of %s: %w", filepath.Base(binary), err)
	}
	return path, nil
}

// cut kills what is still tied, and lets nothing start any more.
func (l *leash) cut() error {
	if l == nil || l.pipe == nil {
		return nil
	}
	if err := os.Remove(l.pipe.Name()); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("removing the leash: %w", err)
	}
	if err := l.pipe.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("cutting the leash: %w", err)
	}
	return nil
}

func quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// leashScript: the watcher's read ends when nobody holds the pipe open for writing any more. It
// ignores SIGTERM, which envtest sends to the whole process group, so that what does not
// listen to SIGTERM stays on the leash. wait is interrupted by the trap, hence the loop.
const leashScript = `#!/bin/sh
if [ "$1" = --help ]; then exec BINARY "$@"; fi
[ -p PIPE ] && exec 3<PIPE || exit 1
BINARY "$@" 3<&- &
child=$!
trap : TERM
{
	trap '' TERM
	read -r _ <&3
	kill -KILL "$child"
	rm -rf DOOMED
} >/dev/null 2>&1 &
watcher=$!
while :; do
	wait "$child"
	code=$?
	kill -0 "$child" 2>/dev/null || break
done
kill -KILL "$watcher" 2>/dev/null
exit "$code"
`
