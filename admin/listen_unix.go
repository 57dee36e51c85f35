//go:build unix

package admin

import (
	"net"
	"syscall"
)

// listenPrivately makes a socket that is its owner's from the first moment,
// rather than narrowing it afterwards.
func listenPrivately(path string) (net.Listener, error) {
	old := syscall.Umask(0o177)
	defer syscall.Umask(old)
	return net.Listen("unix", path)
}
