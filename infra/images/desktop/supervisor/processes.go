package main

import (
	"net/http"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	// mostProcesses bounds the records, those of ended programs included.
	mostProcesses = 64
	// mostKeepers bounds the programs that run or have left descendants: the container has room for their keepers' threads.
	mostKeepers = 32
	// keptFor is how long the record of an ended program is kept.
	keptFor     = time.Hour
	forgetEvery = time.Minute
	// mostForgotten bounds the ids that are known to have been used.
	mostForgotten = 1024
)

// process is the record of one program.
type process struct {
	id         string
	cmd        []string
	startedAt  time.Time
	isTty      bool
	background bool
	outputs    []*output
	terminal   *os.File
	attached   attachments
	keeper     *child
	pid        int

	// ready is closed once the program runs or failed to start, which startError then tells.
	ready      chan struct{}
	startError error
	// ended is closed once the program has ended; descendants may run on.
	ended chan struct{}

	mu       sync.Mutex
	status   syscall.WaitStatus
	endedAt  time.Time
	timedOut bool
}

// processTable has the programs by their ids.
type processTable struct {
	mu        sync.Mutex
	processes map[string]*process
	forgotten []string
}

// start starts a program under this id, once: a later call answers the same process.
func (s *supervisor) start(id string, request *processRequest) (*process, bool, error) {
	p, isNew, err := s.table.reserve(id, request)
	if err != nil {
		return nil, false, err
	}
	if isNew {
		p.startError = s.begin(p, request)
		close(p.ready)
		if p.startError != nil {
			s.table.remove(p)
		}
	}
	<-p.ready
	return p, isNew, p.startError
}

// reserve adds a record, or returns the one that exists.
func (t *processTable) reserve(id string, request *processRequest) (p *process, isNew bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p, exists := t.processes[id]; exists {
		return p, false, nil
	}
	if slices.Contains(t.forgotten, id) {
		return nil, false, refuse(http.StatusGone, "forgotten", "The process %s has ended and its record was dropped. Use another id.", id)
	}
	if !t.makeRoom() {
		return nil, false, refuse(http.StatusTooManyRequests, "too_many_processes", "The container runs %d programs, which is the most. End some first.", mostKeepers)
	}
	p = &process{
		id: id, cmd: request.Cmd, startedAt: time.Now(), isTty: request.Tty != nil, background: request.Background,
		ready: make(chan struct{}), ended: make(chan struct{}),
	}
	t.processes[id] = p
	return p, true, nil
}

// begin launches the program and all that serves it.
func (s *supervisor) begin(p *process, request *processRequest) error {
	files, err := s.openFiles(request)
	if err != nil {
		return openFailure(syscall.Errno(errnoOf(err)), p.isTty)
	}
	cwd := request.Cwd
	environment := environmentOf(os.Environ(), request.Env, p.isTty)
	if cwd == "" {
		cwd = homeOf(environment)
	}
	started, err := s.launch(program{Cmd: p.cmd, Cwd: cwd, Env: environment, Tty: p.isTty}, files.own)
	if err != nil {
		files.close()
		return err
	}
	p.keeper, p.pid = started.keeper, started.pid
	for _, source := range files.outputs {
		stream := newOutput(p.isTty || p.background)
		p.outputs = append(p.outputs, stream)
		go stream.copyFrom(source, p.isTty, p.ended)
	}
	if p.isTty {
		p.terminal = files.outputs[0]
	}
	if files.input != nil {
		go feed(files.input, request.input, p.ended)
	}
	go p.watch(started)
	if request.TimeoutMs > 0 {
		go p.endAfter(request.timeout())
	}
	return nil
}

func (s *supervisor) openFiles(request *processRequest) (*programFiles, error) {
	if request.Tty != nil {
		return s.openTerminal(*request.Tty)
	}
	return s.openPipes(request.Stdin != nil)
}

// feed writes the input and closes it; a program that ends without reading it ends this too.
func feed(input *os.File, bytes []byte, ended <-chan struct{}) {
	done := make(chan struct{})
	go func() {
		select {
		case <-ended:
			_ = input.SetWriteDeadline(time.Now())
		case <-done:
		}
	}()
	_, _ = input.Write(bytes)
	close(done)
	input.Close()
}

// watch records the end of the program. A keeper that ends without a report was killed, and its program with it.
func (p *process) watch(started *launched) {
	defer started.reports.Close()
	status := syscall.WaitStatus(syscall.SIGKILL)
	if last, err := receive(started.reports); err == nil && last.kind == reportEnded {
		status = syscall.WaitStatus(last.value)
	}
	p.mu.Lock()
	p.status, p.endedAt = status, time.Now()
	p.mu.Unlock()
	close(p.ended)
}

func (p *process) endAfter(timeout time.Duration) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-p.ended:
		return
	case <-timer.C:
	}
	p.mu.Lock()
	p.timedOut = p.endedAt.IsZero()
	p.mu.Unlock()
	for !p.end() {
		// What can't be ended at once, such as a process in the kernel, is tried again.
	}
}

// end ends the program and every descendant, and returns whether all ended in time.
func (p *process) end() bool {
	if !endDescendants(p.keeper) {
		return false
	}
	<-p.ended
	return true
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// hasKeeper is whether the program or a descendant of it runs, or will.
func (p *process) hasKeeper() bool {
	select {
	case <-p.ready:
	default:
		return true
	}
	if p.startError != nil {
		return false
	}
	return !p.keeper.hasEnded()
}

// get returns the process with this id.
func (t *processTable) get(id string) (*process, error) {
	t.mu.Lock()
	p := t.processes[id]
	t.mu.Unlock()
	if p != nil {
		<-p.ready
		if p.startError == nil {
			return p, nil
		}
	}
	return nil, refuse(http.StatusNotFound, "no_such_process", "There is no process with this id.")
}

// list returns all processes, the oldest first.
func (t *processTable) list() []*process {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := []*process{}
	for _, p := range t.processes {
		select {
		case <-p.ready:
			if p.startError == nil {
				all = append(all, p)
			}
		default:
		}
	}
	slices.SortFunc(all, func(a, b *process) int { return a.startedAt.Compare(b.startedAt) })
	return all
}

// remove drops the record of a program that did not start: its id may be used again.
func (t *processTable) remove(p *process) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.processes, p.id)
}

// forget drops the record of a program that has ended. Descendants that still run become orphans of PID 1.
func (t *processTable) forget(p *process) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(p)
}

// drop is forget with the lock held.
func (t *processTable) drop(p *process) {
	if t.processes[p.id] != p {
		return
	}
	delete(t.processes, p.id)
	t.forgotten = append(t.forgotten, p.id)
	if excess := len(t.forgotten) - mostForgotten; excess > 0 {
		t.forgotten = slices.Delete(t.forgotten, 0, excess)
	}
	for _, stream := range p.outputs {
		stream.release()
	}
	p.keeper.signal(syscall.SIGKILL)
}

// makeRoom drops a program that ended, if there is no room for another: the first of those that left no descendants, else
// the first of all. The lock is held.
func (t *processTable) makeRoom() bool {
	kept := 0
	for _, p := range t.processes {
		if p.hasKeeper() {
			kept++
		}
	}
	if kept >= mostKeepers && !t.forgetOldest((*process).hasKeeper) {
		return false
	}
	isGone := func(p *process) bool { return !p.hasKeeper() }
	return len(t.processes) < mostProcesses || t.forgetOldest(isGone) || t.forgetOldest((*process).hasKeeper)
}

// forgetOldest drops the program of this kind that ended first, if any has. The lock is held.
func (t *processTable) forgetOldest(ofKind func(*process) bool) bool {
	var oldest *process
	for _, p := range t.processes {
		if p.hasEnded() && ofKind(p) && (oldest == nil || p.endedAt.Before(oldest.endedAt)) {
			oldest = p
		}
	}
	if oldest == nil {
		return false
	}
	t.drop(oldest)
	return true
}

// forgetOld drops the records of programs that ended long ago, again and again.
func (t *processTable) forgetOld() {
	for now := range time.Tick(forgetEvery) {
		t.mu.Lock()
		for _, p := range t.processes {
			if p.hasEnded() && now.Sub(p.endedAt) > keptFor {
				t.drop(p)
			}
		}
		t.mu.Unlock()
	}
}
