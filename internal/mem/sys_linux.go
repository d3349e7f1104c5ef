package mem

import "golang.org/x/sys/unix"

const mapFlags = unix.MAP_PRIVATE | unix.MAP_ANON | unix.MAP_NORESERVE
