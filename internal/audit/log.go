package audit

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"
)

const (
	// maxQueued bounds the records that wait to be written, in bytes of memory.
	maxQueued = 16 << 20
	// batch is how much is written at once, in bytes; one line may be longer.
	batch = 64 << 10
	// tick is how often a file is made durable and looked after.
	tick = time.Second
	// retryFirst and retryMost are the waits after failed writes.
	retryFirst, retryMost = time.Second, 30 * time.Second
	// anchorEvery is how often the end of the chain is told to the operator's log.
	anchorEvery = 5 * time.Minute
	// rotateAgain is how long a rotation that failed waits.
	rotateAgain = time.Minute
	// closing is how long Close waits for what is queued.
	closing = 5 * time.Second
)

// Options are what a [Log] needs.
type Options struct {
	// Path is the file; empty means Stdout.
	Path string
	// MaxSize is the size, in bytes, from which the file is rotated; 0 means never.
	MaxSize int64
	Stdout  io.Writer
	// Replica names this process among the operator's replicas; Version is the operator's.
	Replica, Version string
	// Logger is the operator's own log. It is told of failures and of the chain's
	// end, now and then, so that it lies elsewhere too.
	Logger logr.Logger
	Clock  clock.WithTicker
}

// item waits to be written: a record, or how many were dropped here.
type item struct {
	record  Record
	dropped uint64
	size    int
}

// mark is where a line ends in what is written.
type mark struct {
	end  int
	hash string
	item bool
}

// Log writes records as lines of a hash chain. Writing never waits: records are
// queued, and where they cannot be written they stay there, bounded, and are tried
// again.
type Log struct {
	options Options

	mu      sync.Mutex
	queue   []item
	queued  int // bytes of queue and of what the writer took
	dropped uint64
	closed  bool

	wake, stop, done chan struct{}

	// The writer's own.
	to      destination
	chain   *chain // nil where the next line starts one
	taken   []item
	buffer  []byte
	marks   []mark
	last    string // the hash of the last whole line that was written
	dirty   bool   // written, not synced
	failing bool
	wait    time.Duration
	retryAt time.Time
	// rotateAt is when the next rotation may be tried.
	rotateAt time.Time
	anchorAt time.Time
	anchored string
}

// Open starts a log. A file that cannot be opened is an error, but for a full
// disk, which is waited for.
func Open(o Options) (*Log, error) {
	var to destination = &stream{to: o.Stdout}
	if o.Path != "" {
		to = &file{path: o.Path, maxSize: o.MaxSize}
	}
	if err := to.probe(); err != nil {
		return nil, err
	}
	return start(o, to), nil
}

func start(o Options, to destination) *Log {
	l := &Log{options: o, to: to, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	go l.run()
	return l
}

// Write implements [Sink].
func (l *Log) Write(r Record) {
	i := item{record: r.bounded()}
	i.size = i.record.size()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.queued+i.size > maxQueued {
		l.dropped++
		droppedRecords.Inc()
		return
	}
	l.noteDropped()
	l.queue = append(l.queue, i)
	l.queued += i.size
	queuedBytes.Set(float64(l.queued))
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// noteDropped queues, in its place, that records are missing. It holds mu.
func (l *Log) noteDropped() {
	if l.dropped > 0 {
		l.queue = append(l.queue, item{dropped: l.dropped})
		l.dropped = 0
	}
}

// Close writes what is queued and the chain's end. It waits a few seconds at
// most; what is not written then is lost, which is the error.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.mu.Unlock()
	close(l.stop)
	timeout := l.options.Clock.NewTimer(closing)
	defer timeout.Stop()
	select {
	case <-l.done:
	case <-timeout.C():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queued > 0 || l.dropped > 0 {
		return errUnwritten
	}
	return nil
}

var errUnwritten = errors.New("access log: records could not be written and are lost")

// run is the writer.
func (l *Log) run() {
	defer close(l.done)
	ticker := l.options.Clock.NewTicker(tick)
	defer ticker.Stop()
	l.work(true)
	for {
		select {
		case <-l.wake:
			l.work(false)
		case <-ticker.C():
			l.work(true)
		case <-l.stop:
			l.retryAt = time.Time{}
			l.work(false)
			l.end(endShutdown)
			return
		}
	}
}

// work writes what is queued, unless it waits after a failure.
func (l *Log) work(ticked bool) {
	now := l.options.Clock.Now()
	if now.Before(l.retryAt) {
		return
	}
	err := l.flush()
	if err == nil && ticked {
		err = l.sync()
	}
	switch {
	case err != nil:
		l.fail(now, err)
	case l.failing:
		l.failing, l.wait = false, 0
		l.options.Logger.Info("the access log is written again")
	}
	l.anchor(now, false)
}

// fail gives the chain up: the next line starts one that names what stands there.
func (l *Log) fail(now time.Time, err error) {
	failures.Inc()
	l.chain, l.dirty = nil, false
	_ = l.to.close()
	l.wait = min(max(2*l.wait, retryFirst), retryMost)
	l.retryAt = now.Add(l.wait)
	if !l.failing {
		l.options.Logger.Error(err, "the access log cannot be written; records are kept and tried again")
	}
	l.failing = true
}

// flush writes all that is queued, and a start where there is no chain.
func (l *Log) flush() error {
	if l.chain != nil && !l.to.stays() {
		l.end(endMoved)
	}
	for {
		l.take()
		if len(l.taken) == 0 && l.chain != nil {
			return nil
		}
		l.rotate()
		if err := l.writeBatch(); err != nil {
			return err
		}
	}
}

// take takes what is queued, once all that was taken before is written.
func (l *Log) take() {
	if len(l.taken) > 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.noteDropped()
	l.taken, l.queue = l.queue, nil
}

func (l *Log) writeBatch() error {
	l.buffer, l.marks = l.buffer[:0], l.marks[:0]
	if l.chain == nil {
		if err := l.begin(); err != nil {
			return err
		}
	}
	for _, i := range l.taken {
		if len(l.buffer) >= batch {
			break
		}
		e := &entry{Record: i.record}
		if i.dropped > 0 {
			e = &entry{Record: Record{Type: dropped, Time: l.options.Clock.Now()}, Count: i.dropped}
		}
		l.line(e, true)
	}
	n, err := l.to.Write(l.buffer)
	l.advance(n)
	return err
}

// begin puts the start of a new chain into the buffer.
func (l *Log) begin() error {
	stands, err := l.to.open(l.last)
	if err != nil {
		return err
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	l.chain = &chain{id: hex.EncodeToString(id[:])}
	if stands.midLine {
		l.buffer = append(l.buffer, '\n')
	}
	l.line(&entry{
		Prev: stands.prev, Record: Record{Type: chainStart, Time: l.options.Clock.Now()}, Format: format, Sink: l.to.name(),
		Replica: l.options.Replica, Version: l.options.Version, After: stands.after, Torn: stands.midLine,
	}, false)
	return nil
}

func (l *Log) line(e *entry, isItem bool) {
	e.Time = writable(e.Time)
	l.buffer = l.chain.append(l.buffer, e)
	l.marks = append(l.marks, mark{end: len(l.buffer), hash: l.chain.last, item: isItem})
}

// advance notes that n bytes of the buffer were written.
func (l *Log) advance(n int) {
	written, size := 0, 0
	for _, m := range l.marks {
		if m.end > n {
			break
		}
		l.last, l.dirty = m.hash, true
		if m.item {
			size += l.taken[written].size
			written++
		}
	}
	clear(l.taken[:written])
	l.taken = l.taken[written:]
	writtenRecords.Add(float64(written))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queued -= size
	queuedBytes.Set(float64(l.queued))
}

// rotate moves a file that is full away. Where that fails, the file goes on.
func (l *Log) rotate() {
	now := l.options.Clock.Now()
	if l.chain == nil || !l.to.full() || now.Before(l.rotateAt) {
		return
	}
	if err := l.to.moveAway(); err != nil {
		l.rotateAt = now.Add(rotateAgain)
		l.options.Logger.Error(err, "the access log cannot be rotated and grows on")
		return
	}
	l.end(endRotation)
}

// end writes the end of the chain to where it is, as well as it can be done, and
// closes that.
func (l *Log) end(why string) {
	if l.chain == nil {
		return
	}
	l.buffer, l.marks = l.buffer[:0], l.marks[:0]
	l.line(&entry{Record: Record{Type: chainEnd, Time: l.options.Clock.Now(), Reason: why}}, false)
	n, err := l.to.Write(l.buffer)
	l.advance(n)
	if err = errors.Join(err, l.sync()); err != nil {
		failures.Inc()
		l.options.Logger.Error(err, "the end of the access log's chain cannot be written")
	} else {
		l.anchor(l.options.Clock.Now(), true)
	}
	l.chain, l.dirty = nil, false
	_ = l.to.close()
}

func (l *Log) sync() error {
	if !l.dirty {
		return nil
	}
	l.dirty = false
	return l.to.sync()
}

// anchor tells the operator's own log where the chain stands, if it moved: that
// log goes elsewhere, and who changes this one would have to change it too.
func (l *Log) anchor(now time.Time, due bool) {
	if l.chain == nil || l.chain.last == l.anchored || !due && now.Before(l.anchorAt) {
		return
	}
	l.anchored, l.anchorAt = l.chain.last, now.Add(anchorEvery)
	l.options.Logger.Info("the access log stands here", "anchor", Anchor{Chain: l.chain.id, Seq: l.chain.next - 1, Hash: l.chain.last}.String())
}

// bounded is the record as it is written: no text longer than MaxTextLength.
func (r Record) bounded() Record {
	for _, text := range []*string{
		&r.ID, &r.Owner, &r.Namespace, &r.Name, &r.UID, &r.KeyID, &r.Actor, &r.Workflow, &r.Node, &r.Pod, &r.PodUID, &r.UserAgent, &r.Reason,
	} {
		*text = bounded(*text, MaxTextLength)
	}
	addresses := r.SourceIPs[:min(len(r.SourceIPs), maxSourceIPs)]
	r.SourceIPs = make([]string, 0, len(addresses))
	for _, address := range addresses {
		r.SourceIPs = append(r.SourceIPs, bounded(address, maxAddressLength))
	}
	return r
}

// size is about what a record takes in memory, in bytes.
func (r *Record) size() int {
	const fixed = 512
	n := fixed
	for _, text := range []string{r.ID, r.Owner, r.Namespace, r.Name, r.UID, r.KeyID, r.Actor, r.Workflow, r.Node, r.Pod, r.PodUID, r.UserAgent, r.Reason} {
		n += len(text)
	}
	for _, address := range r.SourceIPs {
		n += len(address)
	}
	return n
}
