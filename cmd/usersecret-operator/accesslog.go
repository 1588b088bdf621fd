package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"

	"usersecrets.dev/operator/internal/audit"
)

// toStdout is the access log's place where it is no file.
const toStdout = "stdout"

// accessLogOptions are the flags of the access log.
type accessLogOptions struct {
	to      string
	maxSize string
}

var (
	errAccessLog    = errors.New("--access-log is empty: give stdout, or a file")
	errAccessLogMax = errors.New("--access-log-max-size is a size of 1Mi or more, such as 100Mi; 0 means never")
)

func (o *accessLogOptions) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.to, "access-log", o.to, "Where the access log goes: stdout, or a file of this replica's own.")
	f.StringVar(&o.maxSize, "access-log-max-size", "0", "The size, such as 100Mi, from which the access log's file is renamed to FILE.1, FILE.2 and so on; 1Mi at least, and 0 means never.")
}

func (o *accessLogOptions) validate() error {
	if o.to == "" {
		return errAccessLog
	}
	_, err := o.bytes()
	return err
}

// bytes is the size from which the file is rotated, 0 for never.
func (o *accessLogOptions) bytes() (int64, error) {
	const least = 1 << 20
	quantity, err := resource.ParseQuantity(o.maxSize)
	size := quantity.Value()
	if err != nil || size != 0 && size < least {
		return 0, errAccessLogMax
	}
	return size, nil
}

// open starts the access log.
func (o *accessLogOptions) open() (*audit.Log, error) {
	size, err := o.bytes()
	if err != nil {
		return nil, err
	}
	replica, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("naming this replica: %w", err)
	}
	options := audit.Options{
		MaxSize: size, Stdout: os.Stdout, Replica: replica, Version: version,
		Logger: ctrl.Log.WithName("access-log"), Clock: clock.RealClock{},
	}
	if o.to != toStdout {
		options.Path = o.to
	}
	return audit.Open(options)
}
