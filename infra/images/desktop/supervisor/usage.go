package main

import (
	"bufio"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const cgroups = "/sys/fs/cgroup/"

// usageAnswer is what the container uses of its limits. Fields that the kernel does not show are left out.
type usageAnswer struct {
	// CPUNs is CPU time since the start, ns.
	CPUNs       *uint64 `json:"cpuNs,omitempty"`
	MemoryUsed  *uint64 `json:"memoryUsed,omitempty"`
	MemoryLimit *uint64 `json:"memoryLimit,omitempty"`
	HomeUsed    *uint64 `json:"homeUsed,omitempty"`
	HomeLimit   *uint64 `json:"homeLimit,omitempty"`
	Received    uint64  `json:"received"`
	Sent        uint64  `json:"sent"`
	Processes   int     `json:"processes"`
	Threads     *uint64 `json:"threads,omitempty"`
}

func (s *supervisor) routeUsage(mux *http.ServeMux) {
	mux.HandleFunc("GET /usage", handle(func(w http.ResponseWriter, _ *http.Request) error {
		usage, err := readUsage()
		if err != nil {
			return err
		}
		answer(w, http.StatusOK, usage)
		return nil
	}))
}

func readUsage() (*usageAnswer, error) {
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	u := &usageAnswer{Processes: len(processes)}
	u.readCgroup()
	u.readHome(homeOf(os.Environ()))
	u.Received, u.Sent = readNetwork("/proc/net/dev")
	return u, nil
}

// readCgroup reads the container's own cgroup, of either version of the interface.
func (u *usageAnswer) readCgroup() {
	cache := "inactive_file"
	if _, err := os.Stat(cgroups + "cgroup.controllers"); err == nil {
		if micros := readEntry(cgroups+"cpu.stat", "usage_usec"); micros != nil {
			nanos := *micros * 1000
			u.CPUNs = &nanos
		}
		u.MemoryUsed = readNumber(cgroups + "memory.current")
		u.MemoryLimit = readNumber(cgroups + "memory.max")
		u.Threads = readNumber(cgroups + "pids.current")
		u.withoutCache(readEntry(cgroups+"memory.stat", cache))
		return
	}
	u.CPUNs = readNumber(cgroups + "cpuacct/cpuacct.usage")
	u.MemoryUsed = readNumber(cgroups + "memory/memory.usage_in_bytes")
	u.MemoryLimit = readNumber(cgroups + "memory/memory.limit_in_bytes")
	u.Threads = readNumber(cgroups + "pids/pids.current")
	u.withoutCache(readEntry(cgroups+"memory/memory.stat", "total_"+cache))
}

// withoutCache subtracts pages of files that the kernel drops when memory is needed, as the engine does.
func (u *usageAnswer) withoutCache(cache *uint64) {
	if u.MemoryUsed != nil && cache != nil && *cache < *u.MemoryUsed {
		*u.MemoryUsed -= *cache
	}
}

func (u *usageAnswer) readHome(home string) {
	var info syscall.Statfs_t
	if syscall.Statfs(home, &info) != nil {
		return
	}
	block := uint64(info.Bsize)
	used, limit := (info.Blocks-info.Bfree)*block, info.Blocks*block
	u.HomeUsed, u.HomeLimit = &used, &limit
}

// readNumber reads a file that holds a number; nil when it holds none, as `max`.
func readNumber(path string) *uint64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return parseNumber(strings.TrimSpace(string(text)))
}

func parseNumber(text string) *uint64 {
	number, err := strconv.ParseUint(text, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return nil
	}
	return &number
}

// readEntry reads a number from a file of lines with a name and a number.
func readEntry(path, name string) *uint64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		if found, number, ok := strings.Cut(strings.TrimSpace(line), " "); ok && found == name {
			return parseNumber(number)
		}
	}
	return nil
}

// readNetwork sums up the bytes of all interfaces but the loopback.
func readNetwork(path string) (received, sent uint64) {
	file, err := os.Open(path)
	if err != nil {
		return 0, 0
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, rest, ok := strings.Cut(lines.Text(), ":")
		fields := strings.Fields(rest)
		if !ok || strings.TrimSpace(name) == "lo" || len(fields) < 9 {
			continue
		}
		for index, sum := range map[int]*uint64{0: &received, 8: &sent} {
			if number := parseNumber(fields[index]); number != nil {
				*sum += *number
			}
		}
	}
	return received, sent
}
