package cli

import (
	"errors"

	"github.com/spf13/cobra"
)

// errDryRun refuses anything but kubectl's three words.
var errDryRun = errors.New("--dry-run is one of none, client, server")

// dryRun is the flag --dry-run: "none", "client" (nothing is sent) or "server"
// (checked by the API server, and not stored).
type dryRun struct {
	strategy string
}

func (d *dryRun) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&d.strategy, "dry-run", "none", `Must be "none", "server", or "client". If client, only print the object that would be sent, without sending it. If server, send it to be checked, without storing it.`)
	completeWith(cmd, "dry-run", "none", "server", "client")
}

func (d *dryRun) validate() error {
	switch d.strategy {
	case "none", "client", "server":
		return nil
	}
	return errDryRun
}

func (d *dryRun) client() bool { return d.strategy == "client" }
func (d *dryRun) server() bool { return d.strategy == "server" }

// operation is what was done, with what was not.
func (d *dryRun) operation(done string) string {
	switch {
	case d.client():
		return done + " (dry run)"
	case d.server():
		return done + " (server dry run)"
	}
	return done
}
