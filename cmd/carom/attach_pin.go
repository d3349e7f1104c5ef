package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/carom-bpf/carom/kernel"
)

// linksDir is the directory below that of --pin for attachments. They are removed first, so that no
// packet meets a chain whose arrays are empty already.
const linksDir = "links"

// pinChain pins maps and programs, before anything runs.
func (s *attachSession) pinChain() error {
	if s.flags.pin == "" {
		return nil
	}
	if err := s.coll.Pin(s.flags.pin); err != nil {
		return fmt.Errorf("--pin %s: %w", s.flags.pin, err)
	}
	return nil
}

// pinLinks pins the attachments.
func (s *attachSession) pinLinks() error {
	if s.flags.pin == "" {
		return nil
	}
	dir := filepath.Join(s.flags.pin, linksDir)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("--pin %s: %w", s.flags.pin, err)
	}
	seen := map[string]int{}
	for _, a := range s.attached {
		name := a.Program()
		if seen[name]++; seen[name] > 1 {
			name = fmt.Sprintf("%s-%d", name, seen[name])
		}
		path := filepath.Join(dir, name)
		if err := a.Pin(path); err != nil {
			return fmt.Errorf("--pin %s: %w", s.flags.pin, err)
		}
		s.links = append(s.links, path)
	}
	return nil
}

// unpin takes everything off that --pin made.
func (s *attachSession) unpin() error {
	if s.flags.pin == "" {
		return nil
	}
	var errs []error
	for _, path := range append(s.links, filepath.Join(s.flags.pin, linksDir)) {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	s.links = nil
	return errors.Join(append(errs, s.coll.Unpin())...)
}

// warn names arrays that will be emptied under programs which stay.
func (s *attachSession) warn(errOut io.Writer) error {
	if s.flags.pin == "" {
		return nil
	}
	found, err := kernel.Unheld(s.coll)
	if err != nil {
		return err
	}
	for _, u := range found {
		if _, err := fmt.Fprintf(errOut, "carom: %s\n", u); err != nil {
			return err
		}
	}
	return nil
}

// pinnedLine is the line of carom attach --json about --pin.
type pinnedLine struct {
	Kind  string   `json:"kind"` // pinned
	Dir   string   `json:"dir"`
	Links []string `json:"links"`
}

// pinned says where everything is, and how it goes away.
func (s *stream) pinned(dir string, links []string) error {
	if dir == "" {
		return nil
	}
	s.stays = true
	return s.line(pinnedLine{"pinned", dir, links},
		"  pinned in %s, it stays when carom ends; rm -r %s %s takes it off", dir, filepath.Join(dir, linksDir), dir)
}

// end is the kind of the last line, what Ctrl-C does, and what happened at the end.
func (s *stream) end() (kind, will, did string) {
	if s.stays {
		return "left", "leaving it", "still attached"
	}
	return "detached", "detaching", "detached"
}
