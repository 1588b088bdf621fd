package audit

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/utils/clock"
)

// benchmarkLog measures how many records a second reach their destination.
func benchmarkLog(b *testing.B, o Options) {
	o.Clock = clock.RealClock{}
	l := open(b, o)
	r := full()
	b.ReportAllocs()
	for b.Loop() {
		for l.waiting() > maxQueued/2 {
			// The writer is behind, and nothing is to be dropped.
		}
		l.Write(r)
	}
	for l.waiting() > 0 {
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	shut(b, l)
}

func (l *Log) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.queued
}

// A pipe that somebody reads, as a container's stdout is.
func BenchmarkStdout(b *testing.B) {
	from, to, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(io.Discard, from)
	}()
	o := options("")
	o.Stdout = to
	benchmarkLog(b, o)
	_ = to.Close()
	<-read
}

func BenchmarkFile(b *testing.B) {
	benchmarkLog(b, options(filepath.Join(b.TempDir(), "access.log")))
}

// BenchmarkVerify reads a log of 10,000 records.
func BenchmarkVerify(b *testing.B) {
	const records = 10_000
	path := filepath.Join(b.TempDir(), "access.log")
	l := open(b, options(path))
	for range records {
		l.Write(full())
	}
	shut(b, l)
	size, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(size.Size())
	for b.Loop() {
		file, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		v := &Verifier{}
		v.Read(path, file)
		_ = file.Close()
		if chains, problems := v.Finish(); len(problems) > 0 || chains[0].Records != records {
			b.Fatalf("chains %v, problems %v", chains, problems)
		}
	}
}
