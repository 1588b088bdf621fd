package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"usersecrets.dev/operator/internal/audit"
)

// errLog is the answer of audit verify to a log that is not whole.
var errLog = errors.New("the access log is not as it was written")

func auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Look at access logs",
	}
	cmd.AddCommand(verifyCommand())
	return cmd
}

func verifyCommand() *cobra.Command {
	v := &audit.Verifier{}
	var anchors []string
	cmd := &cobra.Command{
		Use:   "verify FILE...",
		Short: "Say whether anything in access logs was removed, changed, added or moved",
		Long: `Says whether anything in access logs was removed, changed, added or moved.

Give all files of a log, in any order; - is standard input. What each chain holds is
printed, and the first bad line of each file as file:line: what is wrong. The exit
code is 0 where nothing is wrong, otherwise 1.

A log that ends too early cannot be told from one that is being written, unless a
later file or --anchor names what is missing.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			for _, text := range anchors {
				a, err := audit.ParseAnchor(text)
				if err != nil {
					return err
				}
				v.Anchors = append(v.Anchors, a)
			}
			for _, file := range files {
				if err := readLog(v, file, cmd.InOrStdin()); err != nil {
					return err
				}
			}
			return reportLog(cmd.OutOrStdout(), v)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&v.Partial, "partial", false, "Older files are not given: a log may begin in the middle.")
	f.BoolVar(&v.SkipOther, "skip-other-lines", false, "Pass over lines that are not the access log's, as where a container's stdout and stderr are in one file.")
	f.StringArrayVar(&anchors, "anchor", nil, "A record that must be there, CHAIN:RECORD:HASH, as the operator's own log tells now and then; may be given more than once.")
	return cmd
}

func readLog(v *audit.Verifier, path string, stdin io.Reader) error {
	if path == "-" {
		v.Read("(standard input)", stdin)
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening an access log: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	v.Read(path, file)
	return nil
}

// reportLog prints what was found.
func reportLog(to io.Writer, v *audit.Verifier) error {
	chains, problems := v.Finish()
	for _, p := range problems {
		_, _ = fmt.Fprintln(to, p) // as any print to a terminal
	}
	if len(problems) > 0 {
		return errLog
	}
	if len(chains) == 0 {
		_, _ = fmt.Fprintln(to, "No records.")
	}
	for _, c := range chains {
		_, _ = fmt.Fprintln(to, describeChain(c))
	}
	return nil
}

func describeChain(c audit.Chain) string {
	text := fmt.Sprintf("chain %s, replica %q: %d records", c.ID, c.Replica, c.Records)
	if c.Records > 0 {
		text += fmt.Sprintf(", %s to %s", c.First.Format(time.RFC3339Nano), c.Last.Format(time.RFC3339Nano))
	}
	if c.Dropped > 0 {
		text += fmt.Sprintf(", %d dropped by the operator", c.Dropped)
	}
	switch {
	case c.End != "":
		return text + ", ended: " + c.End
	case c.Followed != "":
		return text + ", broke off and followed by " + c.Followed
	default:
		return text + ", without an end: it is being written, or its end is lost"
	}
}
