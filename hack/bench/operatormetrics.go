package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// metrics are those of the operator that tell whether it is at work.
type metrics struct {
	// reconciled is how often a UserSecret was looked at; waiting and working
	// are of all controllers.
	reconciled, waiting, working int
}

// scrape reads the operator's metrics in the text format of Prometheus.
func scrape(ctx context.Context, url string) (metrics, error) {
	var m metrics
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return m, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return m, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return m, fmt.Errorf("%s answered %s", url, response.Status)
	}
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		m.add(lines.Text())
	}
	return m, lines.Err()
}

func (m *metrics) add(line string) {
	space := strings.LastIndexByte(line, ' ')
	if space < 0 {
		return
	}
	value, err := strconv.ParseFloat(line[space+1:], 64)
	if err != nil {
		return
	}
	switch name, _, _ := strings.Cut(line, "{"); {
	case name == "controller_runtime_reconcile_total" && strings.Contains(line, `controller="usersecret"`):
		m.reconciled += int(value)
	case name == "workqueue_depth":
		m.waiting += int(value)
	case name == "controller_runtime_active_workers":
		m.working += int(value)
	}
}
