package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

var (
	errNotRegular = errors.New("it is not a regular file")
	errForeign    = fmt.Errorf("it is no access log: its last line is longer than %d bytes", MaxLineLength)
)

// file is a destination that outlives the process. It is only ever appended to;
// what a failed write left of a line is cut off where the file system lets it.
type file struct {
	path    string
	maxSize int64
	opened  handle
	size    int64
	// wrap is what tests put between; nil otherwise.
	wrap func(handle) handle
}

// handle is what is needed of an open file.
type handle interface {
	io.WriteCloser
	Stat() (os.FileInfo, error)
	Sync() error
	Truncate(size int64) error
}

func (*file) name() string { return sinkFile }

// probe opens the file once. A full disk is no reason not to start: the log waits
// for room.
func (f *file) probe() error {
	opened, err := openAppending(f.path)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening the access log: %w", err)
	}
	return opened.Close()
}

func openAppending(path string) (*os.File, error) {
	// Who may read a log is for its folder to say; others may not.
	opened, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := opened.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNotRegular
	}
	if err != nil {
		_ = opened.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return opened, nil
}

func (f *file) open(last string) (standing, error) {
	opened, err := openAppending(f.path)
	if err != nil {
		return standing{}, fmt.Errorf("opening the access log: %w", err)
	}
	line, whole, size, err := lastLine(opened)
	if err != nil {
		_ = opened.Close()
		return standing{}, fmt.Errorf("reading the end of the access log: %w", err)
	}
	f.opened, f.size = opened, size
	if f.wrap != nil {
		f.opened = f.wrap(opened)
	}
	if size == 0 {
		if last == "" {
			last = f.lastRotated()
		}
		return standing{after: last}, nil
	}
	s := standing{prev: hashOf(line), midLine: !whole}
	if last != s.prev {
		s.after = last
	}
	return s, nil
}

// lastLine is a file's last line, without its end, and whether it has one.
func lastLine(f *os.File) (line []byte, whole bool, size int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return nil, false, 0, err
	}
	size = info.Size()
	from := max(0, size-MaxLineLength-2)
	end := make([]byte, size-from)
	if _, err := f.ReadAt(end, from); err != nil && !errors.Is(err, io.EOF) {
		return nil, false, 0, err
	}
	line, whole = bytes.CutSuffix(end, []byte{'\n'})
	line = line[wholeLines(line):]
	if len(line) > MaxLineLength {
		return nil, false, 0, errForeign
	}
	return line, whole, size, nil
}

// wholeLines is how many bytes of text are whole lines.
func wholeLines(text []byte) int { return bytes.LastIndexByte(text, '\n') + 1 }

// Write appends. What it could not write whole it takes back, as far as lines go.
func (f *file) Write(lines []byte) (int, error) {
	n, err := f.opened.Write(lines)
	if err != nil {
		if whole := wholeLines(lines[:n]); f.opened.Truncate(f.size+int64(whole)) == nil {
			n = whole
		}
		err = fmt.Errorf("writing the access log: %w", err)
	}
	f.size += int64(n)
	return n, err
}

// stays is false where the path is gone, names another file, or the file is
// shorter than what was written.
func (f *file) stays() bool {
	named, err := os.Stat(f.path)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	opened, err := f.opened.Stat()
	return err == nil && os.SameFile(named, opened) && opened.Size() >= f.size
}

func (f *file) full() bool { return f.maxSize > 0 && f.size >= f.maxSize }

// moveAway renames the file to the next number, which is the highest: no other
// file is renamed, and none is overwritten or removed.
func (f *file) moveAway() error {
	highest, err := f.highest()
	if err != nil {
		return fmt.Errorf("rotating the access log: %w", err)
	}
	if err := os.Rename(f.path, f.rotated(highest+1)); err != nil {
		return fmt.Errorf("rotating the access log: %w", err)
	}
	return nil
}

func (f *file) rotated(number uint64) string { return f.path + "." + strconv.FormatUint(number, 10) }

// highest is the highest number of a rotated file, 0 for none.
func (f *file) highest() (uint64, error) {
	entries, err := os.ReadDir(filepath.Dir(f.path))
	if err != nil {
		return 0, err
	}
	var highest uint64
	for _, e := range entries {
		text, ours := strings.CutPrefix(e.Name(), filepath.Base(f.path)+".")
		number, err := strconv.ParseUint(text, 10, 32)
		if ours && err == nil {
			highest = max(highest, number)
		}
	}
	return highest, nil
}

// lastRotated is the hash of the last line of the newest rotated file, empty
// where there is none that can be read.
func (f *file) lastRotated() string {
	highest, err := f.highest()
	if err != nil || highest == 0 {
		return ""
	}
	newest, err := os.Open(f.rotated(highest))
	if err != nil {
		return ""
	}
	defer func() { _ = newest.Close() }() // only read
	line, _, size, err := lastLine(newest)
	if err != nil || size == 0 {
		return ""
	}
	return hashOf(line)
}

func (f *file) sync() error {
	if f.opened == nil {
		return nil
	}
	if err := f.opened.Sync(); err != nil {
		return fmt.Errorf("making the access log durable: %w", err)
	}
	return nil
}

func (f *file) close() error {
	if f.opened == nil {
		return nil
	}
	opened := f.opened
	f.opened = nil
	return opened.Close()
}
