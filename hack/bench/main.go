// Command bench measures the product beside its floors: the least that any
// program could do for the same pods on the same control plane, in the same run.
// `make bench` runs it; docs/performance.md says what the figures mean.
//
// Each section starts a control plane of its own, so that none measures what
// another left behind. Nothing that ships imports this.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

// limit ends a run that hangs; a full one takes about half an hour on two cores.
const limit = 2 * time.Hour

// settings are what the flags say.
type settings struct {
	only     []string
	quick    bool
	markdown string
	profiles string
	sizes    sizes
}

func main() {
	s, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, limit)
	err = run(ctx, s)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse(args []string) (*settings, error) {
	s := &settings{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := flags.String("only", "a,b,c,d,f", "Sections to run, separated by commas: "+strings.Join(sectionNames(), "; ")+".")
	flags.BoolVar(&s.quick, "quick", false, "Small sizes, to see that everything works: the figures mean nothing.")
	flags.StringVar(&s.markdown, "markdown", "", "Page in which to replace what stands between the markers by this run's tables.")
	flags.StringVar(&s.profiles, "profiles", "", "Folder for CPU profiles of the operator and of the API server, taken during bursts and cold starts.")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	s.only = strings.Split(*only, ",")
	for _, name := range s.only {
		if !slices.ContainsFunc(sections, func(k section) bool { return k.name == name }) {
			return nil, fmt.Errorf("there is no section %q: name some of a, b, c, d, f", name)
		}
	}
	s.sizes = full
	if s.quick {
		s.sizes = small
	}
	return s, nil
}

// section is a part of the run with a control plane of its own.
type section struct {
	name, about string
	run         func(context.Context, *settings) (*report, error)
}

var sections = []section{
	{"a", "a pod created to its projection visible", runProjections},
	{"b", "the same by number of UserSecrets", runShapes},
	{"c", "what admission adds", runAdmission},
	{"d", "cold start", runColdStart},
	{"f", "rotation", runRotation},
}

func sectionNames() []string {
	var names []string
	for _, k := range sections {
		names = append(names, k.name+" "+k.about)
	}
	return names
}

func run(ctx context.Context, s *settings) error {
	ctrl.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	machine, err := describeMachine(ctx)
	if err != nil {
		return err
	}
	fmt.Println(machine)
	var reports []*report
	for _, k := range sections {
		if !slices.Contains(s.only, k.name) {
			continue
		}
		r, err := k.run(ctx, s)
		if err != nil {
			return fmt.Errorf("section %s, %s: %w", k.name, k.about, err)
		}
		r.section = k.name
		r.print(os.Stdout)
		reports = append(reports, r)
	}
	fmt.Println("\n(e) Sealing, opening and deriving keys need no control plane:\n    go test -run '^$' -bench . -benchmem ./internal/envelope ./internal/keyring")
	if s.markdown == "" {
		return nil
	}
	return replaceTables(s.markdown, machine, reports)
}

// say tells the person who waits what is going on, apart from the figures.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s "+format+"\n", append([]any{time.Now().Format("15:04:05")}, args...)...)
}
