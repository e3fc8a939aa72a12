package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	mostFileBytes = 64 << 20
	mostFileJobs  = 8
	longestHead   = 4096
	helperGrace   = time.Second
)

// fileHead is the first line that the helper of files writes; the content follows it.
type fileHead struct {
	Status  int    `json:"status"`
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
	// Type is file, directory or archive. Size is -1 when it is not known.
	Type       string `json:"type,omitempty"`
	Size       int64  `json:"size"`
	ModifiedAt string `json:"modifiedAt,omitempty"`
}

// routeFiles adds GET, PUT and DELETE /files?path=…: files below the home, as the desktop's user.
func (s *supervisor) routeFiles(mux *http.ServeMux) {
	slots := make(chan struct{}, mostFileJobs)
	serve := handle(func(w http.ResponseWriter, r *http.Request) error {
		args, err := fileArguments(r.Method, r.URL.Query())
		if err != nil {
			return err
		}
		if r.ContentLength > mostFileBytes {
			return tooLarge()
		}
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			return refuse(http.StatusTooManyRequests, "busy", "The container has %d transfers of files: wait for one.", mostFileJobs)
		}
		job, err := s.startFiles(args, r.Method == http.MethodPut)
		if err != nil {
			return err
		}
		defer job.end()
		return job.serve(w, r)
	})
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		mux.HandleFunc(method+" /files", serve)
	}
}

// fileArguments makes the arguments of the helper from a query.
func fileArguments(method string, query url.Values) ([]string, error) {
	path, after, limit := query.Get("path"), query.Get("after"), query.Get("limit")
	if strings.ContainsRune(path+after, 0) || len(path) > longestPath || len(after) > longestPath {
		return nil, badRequest("The path must be shorter than 4096 bytes and have no null character.")
	}
	archive := query.Get("archive")
	if archive != "" && (archive != "tar" || method == http.MethodDelete) {
		return nil, badRequest("archive must be tar, to read or to write a tree.")
	}
	return []string{method, path, archive, after, limit}, nil
}

// fileJob is one running helper. Nothing that it writes is trusted: the desktop's programs can change it.
type fileJob struct {
	helper *child
	// body is what it reads, and commit the byte that tells it that the body is complete. Both are nil without a body.
	body, commit *os.File
	output       *os.File
}

func (s *supervisor) startFiles(args []string, hasBody bool) (*fileJob, error) {
	var theirs, ours []*os.File
	failed := func(err error) (*fileJob, error) {
		closeAll(append(theirs, ours...)...)
		return nil, err
	}
	// Ends of pipes: body, output, commit.
	for i := range 3 {
		read, write, err := os.Pipe()
		if err != nil {
			return failed(err)
		}
		if i == 1 {
			read, write = write, read
		}
		theirs, ours = append(theirs, read), append(ours, write)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return failed(err)
	}
	helper, err := s.forker.startHelper("files", args, theirs[0], theirs[1], null, theirs[2])
	closeAll(append(theirs, null)...)
	theirs = nil
	if err != nil {
		return failed(err)
	}
	job := &fileJob{helper: helper, body: ours[0], output: ours[1], commit: ours[2]}
	if !hasBody {
		closeAll(job.body, job.commit)
		job.body, job.commit = nil, nil
	}
	return job, nil
}

// end closes what is open, and kills a helper that does not end by itself.
func (j *fileJob) end() {
	closeAll(j.body, j.commit, j.output)
	select {
	case <-j.helper.ended:
	case <-time.After(helperGrace):
		j.helper.signal(syscall.SIGKILL)
		<-j.helper.ended
	}
}

func (j *fileJob) serve(w http.ResponseWriter, r *http.Request) error {
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-r.Context().Done():
			_ = j.output.SetDeadline(time.Now())
		case <-stop:
		}
	}()
	if j.body != nil {
		// Not waited for: a refusal is answered while the body still arrives.
		go j.upload(w, r)
	}
	reader := bufio.NewReaderSize(j.output, longestHead)
	head, err := readFileHead(reader)
	if err != nil {
		return err
	}
	if head.Status >= 300 {
		// The rest of the body is not read: its connection closes.
		w.Header().Set("Connection", "close")
		return refuse(head.Status, head.Code, "%.500s", head.Message)
	}
	if head.Status == http.StatusNoContent {
		w.WriteHeader(head.Status)
		return nil
	}
	return j.download(w, r, head, reader)
}

// upload copies the body and then commits it; without the commit the helper leaves nothing behind.
func (j *fileJob) upload(w http.ResponseWriter, r *http.Request) {
	_, err := io.Copy(j.body, http.MaxBytesReader(w, r.Body, mostFileBytes+1))
	_ = j.body.Close()
	if err == nil {
		_, _ = j.commit.Write([]byte{1})
	}
	_ = j.commit.Close()
}

func (j *fileJob) download(w http.ResponseWriter, r *http.Request, head fileHead, content io.Reader) error {
	header := w.Header()
	header.Set("Content-Type", "application/octet-stream")
	header.Set("X-File-Type", head.Type)
	if head.ModifiedAt != "" {
		header.Set("Last-Modified", head.ModifiedAt)
	}
	limit := int64(mostFileBytes + mostFileBytes/2)
	if head.Size >= 0 && head.Size <= limit {
		limit = head.Size
		header.Set("Content-Length", strconv.FormatInt(head.Size, 10))
	}
	w.WriteHeader(head.Status)
	_, err := io.Copy(w, io.LimitReader(content, limit))
	if err == nil && head.Size < 0 {
		err = j.outcome(r)
	}
	if err != nil {
		// The client must not take a part for the file.
		panic(http.ErrAbortHandler)
	}
	return nil
}

// outcome waits for the end of the helper: its output alone does not show that it was complete.
func (j *fileJob) outcome(r *http.Request) error {
	select {
	case <-j.helper.ended:
	case <-r.Context().Done():
		return r.Context().Err()
	}
	if j.helper.status != 0 {
		return errors.New("the helper failed")
	}
	return nil
}

func readFileHead(reader *bufio.Reader) (fileHead, error) {
	var head fileHead
	line, err := reader.ReadSlice('\n')
	if err != nil {
		return head, refuse(http.StatusInternalServerError, "internal", "The transfer failed: try again.")
	}
	if err := json.Unmarshal(line, &head); err != nil {
		return head, refuse(http.StatusInternalServerError, "internal", "The transfer failed: try again.")
	}
	if _, known := fileStatuses[head.Status]; !known {
		return head, refuse(http.StatusInternalServerError, "internal", "The transfer failed: try again.")
	}
	return head, nil
}

// fileStatuses are those that a helper may answer with.
var fileStatuses = map[int]struct{}{200: {}, 201: {}, 204: {}, 400: {}, 404: {}, 409: {}, 413: {}, 500: {}, 507: {}}

func tooLarge() *failure {
	return refuse(http.StatusRequestEntityTooLarge, "payload_too_large", "A file or tree may have 64 MB: send less.")
}
