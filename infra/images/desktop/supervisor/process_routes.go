package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
)

// processAnswer is a process as clients see it.
type processAnswer struct {
	ID         string       `json:"id"`
	Pid        int          `json:"pid"`
	Cmd        []string     `json:"cmd"`
	StartedAt  int64        `json:"startedAt"`
	EndedAt    int64        `json:"endedAt,omitempty"`
	State      string       `json:"state"`
	ExitCode   *int         `json:"exitCode,omitempty"`
	Signal     string       `json:"signal,omitempty"`
	TimedOut   bool         `json:"timedOut,omitempty"`
	Tty        bool         `json:"tty"`
	Background bool         `json:"background"`
	Stdout     streamAnswer `json:"stdout"`
	Stderr     streamAnswer `json:"stderr"`
}

// streamAnswer is the offsets of the first byte that is kept and of the end.
type streamAnswer struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

func (p *process) answer() processAnswer {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := processAnswer{
		ID: p.id, Pid: p.pid, Cmd: p.cmd, StartedAt: p.startedAt.UnixMilli(), State: "running",
		Tty: p.isTty, Background: p.background, Stdout: spanOf(p.stream(0)), Stderr: spanOf(p.stream(1)),
	}
	if p.endedAt.IsZero() {
		return a
	}
	a.State, a.EndedAt, a.TimedOut = "ended", p.endedAt.UnixMilli(), p.timedOut
	if p.status.Signaled() {
		a.Signal = signalName(p.status.Signal())
	} else {
		code := p.status.ExitStatus()
		a.ExitCode = &code
	}
	return a
}

// stream returns an output by its number; a terminal has one.
func (p *process) stream(number int) *output {
	if number < len(p.outputs) {
		return p.outputs[number]
	}
	return nil
}

func spanOf(o *output) streamAnswer {
	if o == nil {
		return streamAnswer{}
	}
	from, to := o.span()
	return streamAnswer{from, to}
}

func (s *supervisor) routeProcesses(mux *http.ServeMux) {
	mux.HandleFunc("PUT /processes/{id}", handle(s.putProcess))
	mux.HandleFunc("GET /processes", handle(s.listProcesses))
	mux.HandleFunc("GET /processes/{id}", s.withProcess(getProcess))
	mux.HandleFunc("GET /processes/{id}/wait", s.withProcess(waitForProcess))
	mux.HandleFunc("GET /processes/{id}/stdout", s.withProcess(streamOf(0)))
	mux.HandleFunc("GET /processes/{id}/stderr", s.withProcess(streamOf(1)))
	mux.HandleFunc("POST /processes/{id}/ack", s.withProcess(acknowledge))
	mux.HandleFunc("POST /processes/{id}/size", s.withProcess(resizeProcess))
	mux.HandleFunc("GET /processes/{id}/attach", s.withProcess(attach))
	mux.HandleFunc("DELETE /processes/{id}", s.withProcess(s.endProcess))
}

type processHandler func(w http.ResponseWriter, r *http.Request, p *process) error

// withProcess finds the process that the path names.
func (s *supervisor) withProcess(handler processHandler) http.HandlerFunc {
	return handle(func(w http.ResponseWriter, r *http.Request) error {
		p, err := s.table.get(r.PathValue("id"))
		if err != nil {
			return err
		}
		return handler(w, r, p)
	})
}

func (s *supervisor) putProcess(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	if !idPattern.MatchString(id) {
		return badRequest("An id has 1 to 64 letters, digits, - and _.")
	}
	var request processRequest
	if err := readBody(w, r, &request); err != nil {
		return err
	}
	if err := request.check(); err != nil {
		return err
	}
	p, isNew, err := s.start(id, &request)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if isNew {
		status = http.StatusCreated
	}
	answer(w, status, p.answer())
	return nil
}

func (s *supervisor) listProcesses(w http.ResponseWriter, _ *http.Request) error {
	items := []processAnswer{}
	for _, p := range s.table.list() {
		items = append(items, p.answer())
	}
	answer(w, http.StatusOK, map[string]any{"items": items})
	return nil
}

func getProcess(w http.ResponseWriter, _ *http.Request, p *process) error {
	answer(w, http.StatusOK, p.answer())
	return nil
}

func waitForProcess(w http.ResponseWriter, r *http.Request, p *process) error {
	select {
	case <-p.ended:
		answer(w, http.StatusOK, p.answer())
	case <-r.Context().Done():
	}
	return nil
}

// streamOf sends an output from an offset to its end, as it grows.
func streamOf(number int) processHandler {
	return func(w http.ResponseWriter, r *http.Request, p *process) error {
		stream := p.stream(number)
		if stream == nil {
			return badRequest("A terminal has one output: read stdout.")
		}
		after, err := offsetOf(r, stream)
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("X-Offset", strconv.FormatInt(after, 10))
		if err := http.NewResponseController(w).Flush(); err != nil {
			return nil
		}
		return sendOutput(r.Context(), w, stream, after)
	}
}

// sendOutput copies an output to a connection. It breaks the connection off when bytes were dropped meanwhile.
func sendOutput(ctx context.Context, w http.ResponseWriter, stream *output, after int64) error {
	flusher := http.NewResponseController(w)
	for {
		bytes, err := stream.read(ctx, after)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		if _, err := w.Write(bytes); err != nil {
			return nil
		}
		if flusher.Flush() != nil {
			return nil
		}
		after += int64(len(bytes))
	}
}

// offsetOf reads ?after. Without it, or before the first byte of a stream that keeps its last bytes, it is the first
// byte that is kept.
func offsetOf(r *http.Request, stream *output) (int64, error) {
	from, to := stream.span()
	text := r.URL.Query().Get("after")
	if text == "" {
		return from, nil
	}
	after, err := strconv.ParseInt(text, 10, 64)
	if err != nil || after < 0 {
		return 0, badRequest("after must be an offset in bytes.")
	}
	if after > to {
		return 0, refuse(http.StatusRequestedRangeNotSatisfiable, "offset_ahead", "The output has %d bytes so far: read from there.", to)
	}
	if after < from {
		if stream.keepsLast {
			return from, nil
		}
		return 0, refuse(http.StatusGone, "offset_gone", "The bytes before %d were acknowledged: read from there.", from)
	}
	return after, nil
}

func acknowledge(w http.ResponseWriter, r *http.Request, p *process) error {
	var offsets struct {
		Stdout int64 `json:"stdout"`
		Stderr int64 `json:"stderr"`
	}
	if err := readBody(w, r, &offsets); err != nil {
		return err
	}
	for number, offset := range []int64{offsets.Stdout, offsets.Stderr} {
		stream := p.stream(number)
		if stream == nil || stream.keepsLast {
			continue
		}
		if err := stream.acknowledge(offset); err != nil {
			return refuse(http.StatusRequestedRangeNotSatisfiable, "offset_ahead", "The offset %d has not been written yet.", offset)
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func resizeProcess(w http.ResponseWriter, r *http.Request, p *process) error {
	var size terminalSize
	if err := readBody(w, r, &size); err != nil {
		return err
	}
	if err := size.check(); err != nil {
		return err
	}
	if p.terminal == nil {
		return badRequest("The process has no terminal.")
	}
	// A terminal that was closed meanwhile has no size.
	_ = resizeFile(p.terminal, size)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// endProcess ends the program with every descendant. With ?forget it drops the record too; one that had ended then leaves
// its descendants running.
func (s *supervisor) endProcess(w http.ResponseWriter, r *http.Request, p *process) error {
	forget := r.URL.Query().Has("forget")
	if !(forget && p.hasEnded()) && !p.end() {
		return refuse(http.StatusServiceUnavailable, "not_ended", "Programs below it still run after %s. Try again.", endWithin)
	}
	body := p.answer()
	if forget {
		s.table.forget(p)
	}
	answer(w, http.StatusOK, body)
	return nil
}
