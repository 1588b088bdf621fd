package audit

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
)

// stdout opens a log on a writer.
func stdout(t testing.TB, to io.Writer) *Log {
	t.Helper()
	o := options("")
	o.Stdout = to
	return open(t, o)
}

func verifyText(text string) []string {
	v := &Verifier{}
	v.Read("log", strings.NewReader(text))
	var all []string
	_, problems := v.Finish()
	for _, p := range problems {
		all = append(all, p.String())
	}
	return all
}

func TestLogIsAChain(t *testing.T) {
	out := &pipe{}
	l := stdout(t, out)
	l.Write(use(1))
	l.Write(use(2))
	shut(t, l)
	l.Write(use(3)) // too late, and no crash
	all := entries(t, out.String())
	if diff := cmp.Diff([]string{"chain-start", "pod-1", "pod-2", "chain-end shutdown"}, ids(t, out.String())); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if s := all[0]; s.Replica != "operator-1" || s.Version != "v1" || s.Sink != "stdout" || s.Prev != "" || s.After != "" {
		t.Errorf("start %+v", s)
	}
	for n, line := range lines(out.String())[:len(all)-1] {
		if all[n+1].Prev != hashOf([]byte(line)) || all[n+1].Seq != uint64(n+1) || all[n+1].Chain != all[0].Chain {
			t.Errorf("record %d does not follow the one before it", n+1)
		}
	}
	if problems := verifyText(out.String()); problems != nil {
		t.Errorf("verify: %q", problems)
	}
	if err := l.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

// The order of the chain is that of the file, whoever writes, and each writer's
// own order is kept.
func TestManyWriters(t *testing.T) {
	const writers, each = 8, 500
	out := &pipe{}
	l := stdout(t, out)
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for n := range each {
				r := use(n)
				r.Owner = fmt.Sprint(w)
				l.Write(r)
			}
		})
	}
	all.Wait()
	shut(t, l)
	if problems := verifyText(out.String()); problems != nil {
		t.Errorf("verify: %q", problems)
	}
	next := map[string]int{}
	for _, e := range entries(t, out.String()) {
		if e.Type != Use {
			continue
		}
		if want := use(next[e.Owner]).ID; e.ID != want {
			t.Fatalf("writer %s: %s, want %s", e.Owner, e.ID, want)
		}
		next[e.Owner]++
	}
	for w := range writers {
		if next[fmt.Sprint(w)] != each {
			t.Errorf("writer %d: %d records, want %d", w, next[fmt.Sprint(w)], each)
		}
	}
}

// blocked is a writer that takes nothing until it is released.
type blocked struct {
	pipe
	release chan struct{}
}

func (b *blocked) Write(text []byte) (int, error) {
	<-b.release
	return b.pipe.Write(text)
}

// A reader that hangs holds nobody up. What does not fit in memory is lost, is
// counted, and the log says so in its place.
func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &blocked{release: make(chan struct{})}
		l := stdout(t, out)
		r := use(0)
		r.Workflow = strings.Repeat("w", MaxTextLength)
		size := r.size()
		fit, lost := maxQueued/size, 100
		began := time.Now()
		for n := range fit + lost {
			r.ID = use(n % 10).ID
			l.Write(r)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("writing took %s of waiting", took)
		}
		if l.queued > maxQueued || l.queued < maxQueued-size {
			t.Errorf("%d bytes are queued, want no more than %d", l.queued, maxQueued)
		}
		close(out.release)
		synctest.Wait()
		l.Write(use(7))
		shut(t, l)
		got := ids(t, out.String())
		if len(got) != fit+4 {
			t.Fatalf("%d lines, want %d records, the loss, one more record, start and end", len(got), fit)
		}
		want := []string{fmt.Sprint("dropped ", lost), "pod-7", "chain-end shutdown"}
		if diff := cmp.Diff(want, got[len(got)-3:]); diff != "" {
			t.Errorf("the last lines (-want +got):\n%s", diff)
		}
		if problems := verifyText(out.String()); problems != nil {
			t.Errorf("verify: %q", problems)
		}
	})
}

// A log that cannot be written at the end is an error within seconds.
func TestCloseDoesNotWaitForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &blocked{release: make(chan struct{})}
		l := stdout(t, out)
		l.Write(use(1))
		began := time.Now()
		if err := l.Close(); !errors.Is(err, errUnwritten) {
			t.Errorf("error %v, want %v", err, errUnwritten)
		}
		if took := time.Since(began); took != closing {
			t.Errorf("took %s, want %s", took, closing)
		}
		close(out.release)
	})
}

// small has room for so many bytes and then is full, in the middle of a line.
type small struct {
	pipe
	room int
}

func (s *small) Write(text []byte) (int, error) {
	fits := min(s.room, len(text))
	s.room -= fits
	n, _ := s.pipe.Write(text[:fits])
	if n < len(text) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

// Nothing is lost where stdout fails in the middle of a line: a new chain names
// what stands there, and brings what does not.
func TestStdoutFails(t *testing.T) {
	for _, room := range []int{0, 1, 100, 400, 401, 700, 900} {
		t.Run(fmt.Sprint(room), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				out := &small{room: room}
				var told []string
				o := options("")
				o.Stdout, o.Logger = out, funcr.New(func(_, line string) { told = append(told, line) }, funcr.Options{})
				l := open(t, o)
				for n := range 5 {
					l.Write(use(n))
				}
				synctest.Wait()
				time.Sleep(retryMost)
				out.room = 1 << 20
				time.Sleep(2 * retryMost)
				shut(t, l)
				for n := range 5 {
					if got := count(out.String(), use(n).ID); got != 1 {
						t.Errorf("%s stands there %d times, want once", use(n).ID, got)
					}
				}
				if problems := verifyText(out.String()); problems != nil {
					t.Errorf("verify: %q\n%s", problems, out.String())
				}
				if all := strings.Join(told, "\n"); strings.Count(all, "cannot be written") != 1 || strings.Count(all, "is written again") != 1 {
					t.Errorf("the operator's log has %q, want one failure and one recovery", told)
				}
			})
		})
	}
}

// The operator's own log names the end of the chain: when it is due, and when the
// chain ends.
func TestAnchorsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		out := &pipe{}
		o := options("")
		o.Stdout, o.Logger = out, funcr.New(func(_, line string) { told = append(told, line) }, funcr.Options{})
		l := open(t, o)
		time.Sleep(time.Minute)
		for n := range 3 {
			l.Write(use(n))
			time.Sleep(time.Second)
		}
		time.Sleep(2 * anchorEvery) // nothing is told while nothing is written
		shut(t, l)
		all := entries(t, out.String())
		var want []string
		for _, n := range []int{0, 3, 4} {
			a := Anchor{Chain: all[0].Chain, Seq: uint64(n), Hash: hashOf([]byte(lines(out.String())[n]))}
			want = append(want, fmt.Sprintf(`"level"=0 "msg"="the access log stands here" "anchor"=%q`, a))
			if back, err := ParseAnchor(a.String()); err != nil || back != a {
				t.Errorf("%s is read as %s, error %v", a, back, err)
			}
		}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("the operator's log (-want +got):\n%s", diff)
		}
	})
}

func TestParseAnchor(t *testing.T) {
	for _, text := range []string{"", "1:2:3", someChain + ":1", someChain + ":-1:" + someHash, someChain + ":1:" + someHash + ":", strings.ToUpper(someChain) + ":1:" + someHash} {
		if _, err := ParseAnchor(text); !errors.Is(err, errAnchor) {
			t.Errorf("%q: error %v, want %v", text, err, errAnchor)
		}
	}
}
