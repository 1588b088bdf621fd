// Command bench measures the product beside its floors: the least that any
// program could do for the same pods on the same control plane, in the same run.
// `make bench` runs it; docs/performance.md says what the figures mean.
//
// Each section that needs a control plane starts one of its own, so that none
// measures what another left behind. Nothing that ships imports this.
package main

import (
	"context"
	"errors"
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

// limit ends a run that hangs; a full one takes about half an hour on two cores
// that nobody else uses.
const limit = 2 * time.Hour

// settings are what the flags say.
type settings struct {
	sections []section
	quick    bool
	page     page
	profiles string
	sizes    sizes
}

func main() {
	ctrl.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, limit)
	code := command(ctx, os.Args[1:])
	cancel()
	stop()
	os.Exit(code)
}

func command(ctx context.Context, args []string) int {
	if len(args) == 2 && args[0] == informerCommand {
		return exit(serveInformer(ctx, args[1], os.Stdin, os.Stdout), 1)
	}
	s, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return exit(err, 2)
	}
	return exit(run(ctx, s), 1)
}

// exit says what went wrong, and returns the code to end with.
func exit(err error, code int) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "bench:", err)
	return code
}

func parse(args []string) (*settings, error) {
	s := &settings{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := flags.String("only", "a,b,c,d,e,f", "Sections to run, separated by commas; b is all that begin with it: "+abouts()+".")
	flags.BoolVar(&s.quick, "quick", false, "Small sizes, to see that everything works: the figures mean nothing.")
	flags.StringVar((*string)(&s.page), "markdown", "", "Page in which to replace each section's tables, as soon as it ends.")
	flags.StringVar(&s.profiles, "profiles", "", "Folder for CPU profiles of the operator and of the API server, taken during bursts and cold starts.")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	var err error
	if s.sections, err = choose(*only); err != nil {
		return nil, err
	}
	s.sizes = full
	if s.quick {
		s.sizes = small
	}
	if s.page == "" {
		return s, nil
	}
	return s, s.page.check(s.sections)
}

// section is a part of the run with a control plane of its own, but for (e),
// which needs none.
type section struct {
	name, about string
	run         func(context.Context, *settings) (*report, error)
}

var sections = []section{
	{"a", "a pod created to its projection visible", runProjections},
	{"b-one", "the same with one UserSecret a user", runShape(oneEach)},
	{"b-hundred", "the same with a hundred", runShape(hundredEach)},
	{"b-hot", "the same with one that all pods use", runShape(hot)},
	{"c", "what admission adds", runAdmission},
	{"d", "cold start", runColdStart},
	{"e", "the envelope", runEnvelope},
	{"f", "rotation", runRotation},
}

// letter is what several sections share.
func (k section) letter() string {
	letter, _, _ := strings.Cut(k.name, "-")
	return letter
}

// choose returns the sections of some names or letters, in their own order.
func choose(only string) ([]section, error) {
	var known []string
	for _, k := range sections {
		known = append(known, k.letter(), k.name)
	}
	slices.Sort(known)
	names := strings.Split(only, ",")
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("there is no section %q: name some of %s", name, strings.Join(slices.Compact(known), ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(sections), func(k section) bool {
		return !slices.Contains(names, k.name) && !slices.Contains(names, k.letter())
	}), nil
}

func sectionNames(of []section) []string {
	var names []string
	for _, k := range of {
		names = append(names, k.name)
	}
	return names
}

func abouts() string {
	var all []string
	for _, k := range sections {
		all = append(all, k.name+" "+k.about)
	}
	return strings.Join(all, "; ")
}

// run measures section by section. One that fails keeps no other from its turn.
func run(ctx context.Context, s *settings) error {
	commit := describeCommit(ctx)
	var failed error
	for _, k := range s.sections {
		if ctx.Err() != nil {
			return errors.Join(failed, ctx.Err())
		}
		if err := k.measure(ctx, s, commit); err != nil {
			err = fmt.Errorf("section %s, %s: %w", k.name, k.about, err)
			say("%v", err)
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// measure prints a section's tables, and writes them into the page.
func (k section) measure(ctx context.Context, s *settings, commit string) error {
	began := time.Now()
	machine, err := describeMachine(ctx)
	if err != nil {
		return err
	}
	r, err := k.run(ctx, s)
	if err != nil {
		return err
	}
	r.section = k.name
	r.measuredOn = machine + ", commit " + commit
	if s.quick {
		r.measuredOn += ", quick: the figures mean nothing"
	}
	r.print(os.Stdout)
	say("section %s took %s", k.name, time.Since(began).Round(time.Second))
	if s.page == "" {
		return nil
	}
	return s.page.replace(r)
}

// say tells the person who waits what is going on, apart from the figures.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s "+format+"\n", append([]any{time.Now().Format("15:04:05")}, args...)...)
}
