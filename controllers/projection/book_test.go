package projection

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"usersecrets.dev/operator/api/v1alpha1"
)

// pods are those of a book that were counted, and whether they wait for their
// Secret.
type pods map[string]bool

const (
	waiting = true
	served  = false
)

// bookOf is a book at noon, in which the pods stand newest first.
func bookOf(names string, known pods) *book {
	b := &book{version: "7", usage: v1alpha1.Usage{Count: 100}, marks: map[types.UID]*mark{}}
	for _, pod := range strings.Fields(names) {
		b.recent = append(b.recent, use(pod))
	}
	for pod, waits := range known {
		b.marks[types.UID("uid-"+pod)] = &mark{counted: true, asked: true, pinned: waits}
	}
	return b
}

// run is pods "a3 a2 a1" for run("a", 1, 3): newest first.
func run(prefix string, from, to int) string {
	var names []string
	for i := from; i <= to; i++ {
		names = append(names, fmt.Sprintf("%s%d", prefix, i))
	}
	slices.Reverse(names)
	return strings.Join(names, " ")
}

// all are pods that wait, or that are served.
func all(names string, waits bool) pods {
	a := pods{}
	for _, pod := range strings.Fields(names) {
		a[pod] = waits
	}
	return a
}

func podsOf(recent []v1alpha1.Access) string {
	return usedBy(&v1alpha1.UserSecret{Status: v1alpha1.UserSecretStatus{RecentAccesses: recent}})
}

// What goes where recentAccesses is full: the oldest that is served, and never one
// whose Secret may come any time.
func TestBookWith(t *testing.T) {
	for name, tc := range map[string]struct {
		book *book
		uses string // oldest first
		want string
	}{
		"the first":          {bookOf("", nil), "b1", "b1"},
		"newest first":       {bookOf("a2 a1", nil), "b1 b2", "b2 b1 a2 a1"},
		"the oldest goes":    {bookOf(run("a", 1, 20), nil), "b1", "b1 " + run("a", 2, 20)},
		"a whole group":      {bookOf(run("a", 1, 20), nil), "b1 b2 b3", "b3 b2 b1 " + run("a", 4, 20)},
		"all but the group":  {bookOf(run("a", 1, 20), nil), reversed(run("b", 1, 20)), run("b", 1, 20)},
		"who waits stays":    {bookOf(run("a", 1, 20), pods{"a1": waiting}), "b1", "b1 " + run("a", 3, 20) + " a1"},
		"who is served goes": {bookOf(run("a", 1, 20), pods{"a1": served}), "b1", "b1 " + run("a", 2, 20)},
		"the only one that is": {
			bookOf(run("a", 1, 20), merged(all(run("a", 1, 20), waiting), pods{"a7": served})), "b1", "b1 " + run("a", 8, 20) + " " + run("a", 1, 6),
		},
	} {
		t.Run(name, func(t *testing.T) {
			var uses []v1alpha1.Access
			for _, pod := range strings.Fields(tc.uses) {
				uses = append(uses, use(pod))
			}
			before := podsOf(tc.book.recent)
			usage, recent := tc.book.with(uses)
			if diff := cmp.Diff(tc.want, podsOf(recent)); diff != "" {
				t.Errorf("recentAccesses (-want +got):\n%s", diff)
			}
			if want := int64(100 + len(uses)); usage.Count != want {
				t.Errorf("count = %d, want %d", usage.Count, want)
			}
			newest := uses[len(uses)-1]
			if diff := cmp.Diff(&v1alpha1.LastUse{Workflow: "nightly", Node: newest.Node, Pod: newest.Pod}, usage.LastUsedBy); diff != "" {
				t.Errorf("lastUsedBy (-want +got):\n%s", diff)
			}
			if podsOf(tc.book.recent) != before {
				t.Error("the book changed before anything was written")
			}
		})
	}
}

func reversed(pods string) string {
	names := strings.Fields(pods)
	slices.Reverse(names)
	return strings.Join(names, " ")
}

func merged(all ...pods) pods {
	m := pods{}
	for _, a := range all {
		maps.Copy(m, a)
	}
	return m
}

func TestBookFree(t *testing.T) {
	for name, tc := range map[string]struct {
		book *book
		want int
	}{
		"empty":                  {bookOf("", nil), 20},
		"all served":             {bookOf(run("a", 1, 20), all(run("a", 1, 20), served)), 20},
		"unknown pods":           {bookOf(run("a", 1, 20), nil), 20},
		"three wait":             {bookOf(run("a", 1, 20), all(run("a", 1, 3), waiting)), 17},
		"all wait":               {bookOf(run("a", 1, 20), all(run("a", 1, 20), waiting)), 0},
		"out of the list anyway": {bookOf("a1", all("b1", waiting)), 20},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tc.book.free(); got != tc.want {
				t.Errorf("%d places are free, want %d", got, tc.want)
			}
		})
	}
}

func TestBookAdopt(t *testing.T) {
	b := bookOf("gone asked waiting", pods{"asked": served, "waiting": waiting})
	b.marks["uid-gone"] = &mark{counted: true} // known from an earlier list alone
	b.ask("uid-asking")
	b.ask("uid-lost") // its write succeeded, and the answer was lost
	us := makeValue("db", "one")
	us.ResourceVersion = "9"
	us.Status.Usage = &v1alpha1.Usage{Count: 5}
	us.Status.RecentAccesses = []v1alpha1.Access{use("earlier"), use("lost"), use("settled"), {Type: "read", PodUID: "uid-reader"}, use("asked")}
	b.adopt(us, func(pod types.UID) bool { return pod == "uid-earlier" })

	want := map[types.UID]mark{
		"uid-asked":   {counted: true, asked: true},
		"uid-waiting": {counted: true, asked: true, pinned: true},
		"uid-asking":  {asked: true, pinned: true},
		"uid-lost":    {counted: true, asked: true, pinned: true},
		"uid-earlier": {counted: true, pinned: true},
		"uid-settled": {counted: true},
	}
	got := map[types.UID]mark{}
	for pod, m := range b.marks {
		got[pod] = *m
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(mark{})); diff != "" {
		t.Errorf("marks (-want +got):\n%s", diff)
	}
	if b.version != "9" || b.usage.Count != 5 || len(b.recent) != 5 {
		t.Errorf("adopted version %s, count %d, %d entries; want 9, 5, 5", b.version, b.usage.Count, len(b.recent))
	}
	b.adopt(makeValue("db", "one"), nil)
	if b.usage.Count != 0 || b.recent != nil {
		t.Errorf("without usage: count %d, %d entries; want none", b.usage.Count, len(b.recent))
	}
}

func TestBookIdle(t *testing.T) {
	for name, tc := range map[string]struct {
		marks map[types.UID]*mark
		want  bool
	}{
		"nobody":                    {nil, true},
		"a pod that may ask again":  {map[types.UID]*mark{"a": {asked: true}}, false},
		"an entry that is kept":     {map[types.UID]*mark{"a": {pinned: true}}, false},
		"one that is only known of": {map[types.UID]*mark{"a": {}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (&book{marks: tc.marks}).idle(); got != tc.want {
				t.Errorf("idle = %t, want %t", got, tc.want)
			}
		})
	}
}

// A pod that asks is not served, whatever is thought of it.
func TestBookAsk(t *testing.T) {
	b := bookOf("a", pods{"a": served, "b": waiting})
	b.marks["uid-d"] = &mark{counted: true} // known from the list
	for pod, want := range map[string]bool{"a": true, "b": true, "c": false, "d": true} {
		uid := types.UID("uid-" + pod)
		if got := b.ask(uid); got != want {
			t.Errorf("pod %s counted: %t, want %t", pod, got, want)
		}
		if m := b.marks[uid]; !m.asked || !m.pinned {
			t.Errorf("pod %s: asked %t, pinned %t; want both", pod, m.asked, m.pinned)
		}
	}
}

// A place comes free once for each pod.
func TestBookServeAndForget(t *testing.T) {
	b := bookOf("a b", pods{"a": waiting, "b": waiting, "c": served})
	for i, want := range []bool{true, false} {
		if got := b.serve("uid-a"); got != want {
			t.Errorf("served for the %d. time: freed %t, want %t", i+1, got, want)
		}
	}
	for pod, want := range map[types.UID]bool{"uid-a": false, "uid-b": true, "uid-c": false, "uid-nobody": false} {
		if got := b.forget(pod); got != want {
			t.Errorf("forgetting %s: freed %t, want %t", pod, got, want)
		}
	}
	if len(b.marks) != 0 {
		t.Errorf("%d pods are marked, want none", len(b.marks))
	}
}

// RFC 7386: what a merge patch leaves out stays as it was.
func TestCompleteWritesEveryField(t *testing.T) {
	at := metav1.Time{Time: noon}
	usage := v1alpha1.Usage{Count: 3, LastUsedAt: &at, LastUsedBy: &v1alpha1.LastUse{Pod: "p"}}
	want := map[string]any{
		"count": int64(3), "lastUsedAt": &at,
		"lastUsedBy": map[string]any{"workflow": nil, "node": nil, "pod": "p"},
	}
	if diff := cmp.Diff(want, complete(usage)); diff != "" {
		t.Errorf("usage (-want +got):\n%s", diff)
	}
}
