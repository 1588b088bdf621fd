package audit

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
)

func checkIDs(t *testing.T, path string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, ids(t, read(t, path))); diff != "" {
		t.Errorf("%s (-want +got):\n%s", filepath.Base(path), diff)
	}
}

func TestFileGoesOnAfterARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	logged(t, path, 0, 2)
	logged(t, path, 2, 3)
	checkIDs(t, path, "chain-start", "pod-0", "pod-1", "chain-end shutdown", "chain-start", "pod-2", "chain-end shutdown")
	if all := entries(t, read(t, path)); all[4].Prev != hashOf([]byte(lines(read(t, path))[3])) {
		t.Error("the second start does not name the line before it")
	}
	checkWhole(t, path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v, want 0600", info.Mode(), err)
	}
}

// What a crash left of a line stands, on a line of its own that the next start
// names.
func TestFileGoesOnAfterACrash(t *testing.T) {
	for name, cut := range map[string]int{"at the end of a line": 0, "without the end of line": 1, "in a line": 30, "at its first byte": -1} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "access.log")
			logged(t, path, 0, 3)
			kept := strings.Join(lines(read(t, path))[:3], "\n") + "\n"
			if cut < 0 {
				kept += "{"
			} else {
				kept = kept[:len(kept)-cut]
			}
			write(t, path, kept)
			logged(t, path, 5, 6)
			if text := read(t, path); !strings.HasPrefix(text, kept) {
				t.Error("what stood there was changed")
			}
			checkWhole(t, path)
		})
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFileRotates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	write(t, path+".2", "") // not ours, and not touched
	o := options(path)
	o.MaxSize = 1
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			l := open(t, o)
			synctest.Wait()
			for n := range 2 {
				l.Write(use(n))
				synctest.Wait()
			}
			shut(t, l)
		})
	}
	checkIDs(t, path+".3", "chain-start", "chain-end rotation")
	checkIDs(t, path+".4", "chain-start", "pod-0", "chain-end rotation")
	checkIDs(t, path+".5", "chain-start", "pod-1", "chain-end shutdown", "chain-start", "chain-end rotation")
	checkIDs(t, path+".6", "chain-start", "pod-0", "chain-end rotation")
	checkIDs(t, path, "chain-start", "pod-1", "chain-end shutdown")
	checkWhole(t, path, path+".4", path+".6", path+".5", path+".3")
	checkWhole(t, path+".3", path+".4", path+".5", path+".6", path)
	want := []string{"access.log:1: it follows a line of another file that is not there: a file is missing, or was cut off"}
	if diff := cmp.Diff(want, verify(t, &Verifier{}, path, path+".5", path+".4", path+".3")); diff != "" {
		t.Errorf("without a file (-want +got):\n%s", diff)
	}
	if problems := verify(t, &Verifier{Partial: true}, path, path+".6"); problems != nil {
		t.Errorf("verify in part: %q", problems)
	}
}

// A start of an empty file names the newest rotated one: a crash may have come
// between the two.
func TestFileFollowsTheRotatedOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	logged(t, path, 0, 1)
	if err := os.Rename(path, path+".10"); err != nil {
		t.Fatal(err)
	}
	logged(t, path+".9", 0, 1)
	logged(t, path, 1, 2)
	checkWhole(t, path, path+".9", path+".10")
	if got, want := entries(t, read(t, path))[0].After, hashOf([]byte(lines(read(t, path+".10"))[2])); got != want {
		t.Errorf("follows %q, want %q", got, want)
	}
}

// stuck is a file that cannot be renamed.
type stuck struct{ *file }

func (stuck) moveAway() error { return syscall.EACCES }

// A rotation that fails leaves the chain as it is, and the file grows.
func TestRotationFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(filepath.Join(t.TempDir(), "access.log"))
		var told []string
		o.Logger = funcr.New(func(_, line string) { told = append(told, line) }, funcr.Options{})
		l := start(o, stuck{&file{path: o.Path, maxSize: 1}})
		synctest.Wait()
		for n := range 3 {
			l.Write(use(n))
			synctest.Wait()
		}
		shut(t, l)
		checkIDs(t, o.Path, "chain-start", "pod-0", "pod-1", "pod-2", "chain-end shutdown")
		checkWhole(t, o.Path)
		if all := strings.Join(told, "\n"); strings.Count(all, "cannot be rotated and grows on") != 1 {
			t.Errorf("the operator's log has %q, want one failure", told)
		}
	})
}

// What others do to the file while it is open is noticed, and nothing is lost.
func TestFileIsTakenAway(t *testing.T) {
	tests := map[string]struct {
		act  func(t *testing.T, path string)
		also []string // further files to verify
		want []string // what then stands in the file
		bad  []string // what verify says; nil: nothing
	}{
		"rotated by another program": {
			act:  func(t *testing.T, path string) { move(t, path, path+"-20260301") },
			also: []string{"-20260301"},
			want: []string{"chain-start", "pod-1", "chain-end shutdown"},
		},
		"rotated, and made anew": {
			act:  func(t *testing.T, path string) { move(t, path, path+"-20260301"); write(t, path, "") },
			also: []string{"-20260301"},
			want: []string{"chain-start", "pod-1", "chain-end shutdown"},
		},
		"copied and truncated": {
			act: func(t *testing.T, path string) {
				write(t, path+"-20260301", read(t, path))
				if err := os.Truncate(path, 0); err != nil {
					t.Fatal(err)
				}
			},
			also: []string{"-20260301"},
			want: []string{"chain-end moved", "chain-start", "pod-1", "chain-end shutdown"},
		},
		"removed": {
			act: func(t *testing.T, path string) {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			},
			want: []string{"chain-start", "pod-1", "chain-end shutdown"},
			bad:  []string{"access.log:1: it follows a line of another file that is not there: a file is missing, or was cut off"},
		},
		"truncated": {
			act: func(t *testing.T, path string) {
				if err := os.Truncate(path, 0); err != nil {
					t.Fatal(err)
				}
			},
			want: []string{"chain-end moved", "chain-start", "pod-1", "chain-end shutdown"},
			bad:  []string{"access.log:1: its chain has no beginning: it is record 2, and those before it are not there"},
		},
		"replaced": {
			act: func(t *testing.T, path string) {
				move(t, path, path+"-old")
				logged(t, path+"-new", 7, 8)
				move(t, path+"-new", path)
			},
			also: []string{"-old"},
			want: []string{"chain-start", "pod-7", "chain-end shutdown", "chain-start", "pod-1", "chain-end shutdown"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "access.log")
			synctest.Test(t, func(t *testing.T) {
				l := open(t, options(path))
				l.Write(use(0))
				synctest.Wait()
				tt.act(t, path)
				l.Write(use(1))
				shut(t, l)
			})
			checkIDs(t, path, tt.want...)
			files := []string{path}
			for _, suffix := range tt.also {
				files = append(files, path+suffix)
			}
			if diff := cmp.Diff(tt.bad, verify(t, &Verifier{}, files...)); diff != "" {
				t.Errorf("verify (-want +got):\n%s", diff)
			}
		})
	}
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// disk is a file on a disk that may be full or broken.
type disk struct {
	handle
	room    *int
	pinned  bool // it cannot be truncated, as with the attribute 'append only'
	syncing error
}

func (d *disk) Write(text []byte) (int, error) {
	fits := min(*d.room, len(text))
	*d.room -= fits
	n, err := d.handle.Write(text[:fits])
	if err == nil && n < len(text) {
		err = syscall.ENOSPC
	}
	return n, err
}

func (d *disk) Truncate(size int64) error {
	if d.pinned {
		return syscall.EPERM
	}
	return d.handle.Truncate(size)
}

func (d *disk) Sync() error {
	if d.syncing != nil {
		return d.syncing
	}
	return d.handle.Sync()
}

// A full disk loses nothing, and the file has no broken lines but where it cannot
// be truncated.
func TestDiskIsFull(t *testing.T) {
	for name, pinned := range map[string]bool{"truncated": false, "append only": true} {
		for _, room := range []int{0, 100, 400, 700, 900} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					o, left := options(filepath.Join(t.TempDir(), "access.log")), room
					l := start(o, &file{path: o.Path, wrap: func(h handle) handle { return &disk{handle: h, room: &left, pinned: pinned} }})
					for n := range 5 {
						l.Write(use(n))
					}
					synctest.Wait()
					if l.queued == 0 {
						t.Fatal("everything was written, and the disk was not full")
					}
					left = 1 << 20
					time.Sleep(2 * retryMost)
					shut(t, l)
					checkWhole(t, o.Path)
					for n := range 5 {
						if got := count(read(t, o.Path), use(n).ID); got != 1 {
							t.Errorf("%s is there %d times, want once", use(n).ID, got)
						}
					}
				})
			})
		}
	}
}

// A disk that cannot make durable what was written ends the chain.
func TestSyncFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, room, broken := options(filepath.Join(t.TempDir(), "access.log")), 1<<20, error(syscall.EIO)
		l := start(o, &file{path: o.Path, wrap: func(h handle) handle { return &disk{handle: h, room: &room, syncing: broken} }})
		synctest.Wait()
		l.Write(use(1))
		time.Sleep(tick)
		synctest.Wait()
		broken = nil
		time.Sleep(retryMost)
		shut(t, l)
		checkIDs(t, o.Path, "chain-start", "chain-start", "pod-1", "chain-start", "chain-end shutdown")
		checkWhole(t, o.Path)
	})
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	folder := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(folder, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{"missing/access.log": fs.ErrNotExist, ".": syscall.EISDIR, "fifo": errNotRegular} {
		if _, err := Open(options(filepath.Join(folder, name))); !errors.Is(err, want) {
			t.Errorf("%s: error %v, want %v", name, err, want)
		}
	}
}
