package main

import "syscall"

// childAttr has the kernel kill callsync should the harness die first.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
