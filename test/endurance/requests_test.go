package endurance_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/rig"
)

var operatorUser = "system:serviceaccount:" + v1alpha1.OperatorNamespace + ":" + v1alpha1.OperatorName

// requestsSince are the operator's requests in the API server's own audit log,
// which is written by the shipped policy: Leases are left out there already.
func requestsSince(product *rig.Rig, since time.Time) ([]auditv1.Event, error) {
	content, err := os.ReadFile(product.AuditLog())
	if err != nil {
		return nil, err
	}
	var found []auditv1.Event
	lines := bufio.NewScanner(bytes.NewReader(content))
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		if !bytes.Contains(lines.Bytes(), []byte(operatorUser)) {
			continue
		}
		var event auditv1.Event
		if json.Unmarshal(lines.Bytes(), &event) != nil {
			continue // the last line may be half written
		}
		if event.User.Username == operatorUser && event.RequestReceivedTimestamp.After(since) {
			found = append(found, event)
		}
	}
	return found, lines.Err()
}

// writesSince are those of them that change something: no dry runs, and no
// reviews, which are questions.
func writesSince(product *rig.Rig, since time.Time) ([]string, error) {
	events, err := requestsSince(product, since)
	var writes []string
	for _, event := range events {
		switch event.Verb {
		case "create", "update", "patch", "delete", "deletecollection":
		default:
			continue
		}
		if strings.Contains(event.RequestURI, "dryRun=All") || strings.HasSuffix(event.ObjectRef.Resource, "reviews") || event.ObjectRef.Resource == "leases" {
			continue
		}
		writes = append(writes, fmt.Sprintf("%s %s", event.Verb, event.RequestURI))
	}
	return writes, err
}

// watched is a watch's path with its selectors, which say how narrow it is.
func watched(uri string) string {
	address, err := url.Parse(uri)
	if err != nil {
		return uri
	}
	query := address.Query()
	return strings.Join([]string{address.Path, query.Get("labelSelector"), query.Get("fieldSelector")}, " ")
}
