package main

import (
	"syscall"
	"unsafe"
)

const (
	prCapBSetRead      = 23
	prCapBSetDrop      = 24
	prSetChildSubreap  = 36
	prSetNoNewPrivs    = 38
	capabilityVersion3 = 0x20080522
	lastCapability     = 63
)

// capabilities is the kernel's form of the effective, permitted and inheritable sets: two words of 32 bits each.
type capabilities [2]struct{ effective, permitted, inheritable uint32 }

type capabilityHeader struct {
	version uint32
	pid     int32
}

// restrictThread empties the bounding and inheritable sets of the calling thread, which must be locked. A program that
// it starts as another user has no capability in any set, and can't gain one.
func restrictThread() error {
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, prSetNoNewPrivs, 1, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	for capability := uintptr(0); capability <= lastCapability; capability++ {
		held, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prCapBSetRead, capability, 0)
		if errno != 0 {
			break
		}
		if held == 0 {
			continue
		}
		if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prCapBSetDrop, capability, 0); errno != 0 {
			return errno
		}
	}
	header := capabilityHeader{version: capabilityVersion3}
	var sets capabilities
	if err := capability(syscall.SYS_CAPGET, &header, &sets); err != nil {
		return err
	}
	sets[0].inheritable, sets[1].inheritable = 0, 0
	return capability(syscall.SYS_CAPSET, &header, &sets)
}

// dropCapabilities gives up every capability of all threads of this process.
func dropCapabilities() error {
	header := capabilityHeader{version: capabilityVersion3}
	var none capabilities
	_, _, errno := syscall.AllThreadsSyscall(syscall.SYS_CAPSET,
		uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func capability(call uintptr, header *capabilityHeader, sets *capabilities) error {
	_, _, errno := syscall.RawSyscall(call, uintptr(unsafe.Pointer(header)), uintptr(unsafe.Pointer(sets)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// asUser runs call with the user's rights on files, on the calling thread, which must be locked.
func asUser(user identity, call func() error) error {
	syscall.RawSyscall(syscall.SYS_SETFSGID, uintptr(user.gid), 0, 0)
	syscall.RawSyscall(syscall.SYS_SETFSUID, uintptr(user.uid), 0, 0)
	defer func() {
		syscall.RawSyscall(syscall.SYS_SETFSUID, uintptr(syscall.Geteuid()), 0, 0)
		syscall.RawSyscall(syscall.SYS_SETFSGID, uintptr(syscall.Getegid()), 0, 0)
	}()
	return call()
}
