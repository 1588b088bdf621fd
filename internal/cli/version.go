package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

// newVersion returns the command that says which plugin this is. It calls no
// cluster.
func newVersion(env *Environment) *cobra.Command {
	return &cobra.Command{
		Use:                   "version",
		Short:                 "Print the version of the plugin",
		Example:               "  kubectl usersecret version",
		DisableFlagsInUseLine: true,
		Args:                  noArguments,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(env.Out, "Client Version: %s\nSealed Value Format: us1\nGo Version: %s %s/%s\n",
				env.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
