package cli

import (
	"io"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/printers"

	"usersecrets.dev/operator/api/v1alpha1"
)

// column is a column of the list.
type column struct {
	header string
	cell   func(*v1alpha1.UserSecret) string
}

// Cells of what is not there, as kubectl writes them.
const (
	none    = "<none>"
	unknown = "Unknown"
)

func (o *ListOptions) columns() []column {
	now := o.env.Now()
	var columns []column
	if o.everywhere {
		columns = append(columns, column{"NAMESPACE", func(us *v1alpha1.UserSecret) string { return us.Namespace }})
	}
	columns = append(columns,
		column{"NAME", func(us *v1alpha1.UserSecret) string { return us.Name }},
		column{"PROVIDER", func(us *v1alpha1.UserSecret) string { return us.Spec.Provider }},
		column{"TYPE", func(us *v1alpha1.UserSecret) string { return string(us.Spec.Type) }},
		column{"MASKED", func(us *v1alpha1.UserSecret) string { return orNone(us.Status.Masked) }},
		column{"READY", func(us *v1alpha1.UserSecret) string { return string(ready(us).Status) }},
		column{"VERIFIED", verified},
		column{"USES", uses},
		column{"LAST USED", func(us *v1alpha1.UserSecret) string { return lastUsed(us, now) }},
		column{"EXPIRES", func(us *v1alpha1.UserSecret) string { return expires(us.Spec.ExpiresAt, now) }},
		column{"AGE", func(us *v1alpha1.UserSecret) string { return since(&us.CreationTimestamp, now) }},
	)
	if o.wide() {
		columns = append(columns,
			column{"KEY", func(us *v1alpha1.UserSecret) string { return orNone(us.Status.KeyID) }},
			column{"REASON", func(us *v1alpha1.UserSecret) string { return orNone(ready(us).Reason) }},
		)
	}
	return columns
}

// printTable lays out as kubectl does, by kubectl's own printer. It counts bytes,
// which is why masks are ASCII.
func printTable(w io.Writer, columns []column, rows []v1alpha1.UserSecret, headers bool) error {
	table := &metav1.Table{}
	for _, c := range columns {
		table.ColumnDefinitions = append(table.ColumnDefinitions, metav1.TableColumnDefinition{Name: c.header, Type: "string"})
	}
	for i := range rows {
		row := metav1.TableRow{}
		for _, c := range columns {
			row.Cells = append(row.Cells, oneLine(c.cell(&rows[i])))
		}
		table.Rows = append(table.Rows, row)
	}
	return printers.NewTablePrinter(printers.PrintOptions{NoHeaders: !headers}).PrintObj(table, w)
}

func ready(us *v1alpha1.UserSecret) metav1.Condition {
	if c := meta.FindStatusCondition(us.Status.Conditions, v1alpha1.ConditionReady); c != nil {
		return *c
	}
	return metav1.Condition{Status: unknown}
}

// verified is what the provider said of the value, in the word that Verified has
// for it; <none> where it was not asked.
func verified(us *v1alpha1.UserSecret) string {
	if c := meta.FindStatusCondition(us.Status.Conditions, v1alpha1.ConditionVerified); c != nil {
		return c.Reason
	}
	return none
}

func uses(us *v1alpha1.UserSecret) string {
	if us.Status.Usage == nil {
		return "0"
	}
	return strconv.FormatInt(us.Status.Usage.Count, 10)
}

func lastUsed(us *v1alpha1.UserSecret, now time.Time) string {
	if us.Status.Usage == nil {
		return none
	}
	return since(us.Status.Usage.LastUsedAt, now)
}

// since is how long ago t was, such as "5d".
func since(t *metav1.Time, now time.Time) string {
	if t.IsZero() {
		return none
	}
	return duration.HumanDuration(now.Sub(t.Time))
}

// expires is how long t is ahead.
func expires(t *metav1.Time, now time.Time) string {
	switch {
	case t.IsZero():
		return none
	case !t.After(now):
		return "expired"
	}
	return "in " + duration.HumanDuration(t.Sub(now))
}

func orNone(text string) string {
	if text == "" {
		return none
	}
	return text
}
