// Command kubectl-usersecret is the plugin behind "kubectl usersecret": it seals
// values on the user's machine and keeps UserSecrets in a cluster.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"usersecrets.dev/operator/internal/cli"
)

// version is set at build time.
var version = "unknown"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Main(ctx, cli.System(version), os.Args[1:])
	stop()
	os.Exit(code)
}
