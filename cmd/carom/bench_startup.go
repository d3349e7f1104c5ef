package main

import (
	"context"
	"errors"
	"io"
)

func benchStartup(ctx context.Context, object string, f *benchFlags, out io.Writer) error {
	return errors.New("x")
}
