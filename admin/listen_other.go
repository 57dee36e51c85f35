//go:build !unix

package admin

import "net"

// listenPrivately relies on the folder's permissions: there are no file modes.
func listenPrivately(path string) (net.Listener, error) { return net.Listen("unix", path) }
