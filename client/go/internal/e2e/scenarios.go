package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	sentinova "github.com/sentinova/sentinova/client/go"
)

// A runner does one task.
type runner struct {
	task   task
	client *sentinova.Client
	lines  *lines
}

func (r *runner) unary() error {
	queue := make(chan document)
	var workers sync.WaitGroup
	for range max(r.task.Concurrency, 1) {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for each := range queue {
				r.analyze(each)
			}
		}()
	}
	for range max(r.task.Repeat, 1) {
		for _, each := range r.task.Documents {
			queue <- each
		}
	}
	close(queue)
	workers.Wait()
	return nil
}

func (r *runner) analyze(each document) {
	ctx, cancel := r.task.deadline()
	defer cancel()
	result, err := r.client.Analyze(ctx, each.Text, r.task.Config.options()...)
	r.lines.outcome(each.ID, result, err)
}

func (r *runner) batch() error {
	ctx, cancel := r.task.deadline()
	defer cancel()
	texts := make([]string, len(r.task.Documents))
	for index, each := range r.task.Documents {
		texts[index] = each.Text
	}
	outcomes, err := r.client.AnalyzeBatch(ctx, texts, r.task.Config.options()...)
	for index, each := range r.task.Documents {
		if err != nil {
			r.lines.outcome(each.ID, nil, err)
			continue
		}
		r.lines.outcome(each.ID, outcomes[index].Result, outcomes[index].Err)
	}
	return nil
}

func (r *runner) stream() error {
	ctx, cancel := r.task.deadline()
	defer cancel()
	var options []sentinova.StreamOption
	for _, each := range r.task.Config.options() {
		options = append(options, each)
	}
	documents := func(yield func(sentinova.Document) bool) {
		for _, each := range r.task.Documents {
			if !yield(sentinova.Document{ID: each.ID, Text: each.Text}) {
				return
			}
		}
	}
	answered := make([]bool, len(r.task.Documents))
	var failure error
	for answer, err := range r.client.Stream(ctx, documents, options...) {
		if err != nil {
			failure = err
			break
		}
		answered[answer.Index] = true
		r.lines.outcome(r.task.Documents[answer.Index].ID, answer.Result, answer.Err)
	}
	for index, each := range r.task.Documents {
		if failure != nil && !answered[index] {
			r.lines.outcome(each.ID, nil, failure)
		}
	}
	return nil
}

func (r *runner) cancel() error {
	if len(r.task.Documents) == 0 {
		return fmt.Errorf("cancel needs a document")
	}
	ctx, cancel := r.task.deadline()
	defer cancel()
	timer := time.AfterFunc(time.Duration(r.task.CancelAfter*float64(time.Second)), cancel)
	defer timer.Stop()
	first := r.task.Documents[0]
	result, err := r.client.Analyze(ctx, first.Text, r.task.Config.options()...)
	r.lines.outcome(first.ID, result, err)
	return nil
}

func (r *runner) health() error {
	services := []string{""}
	if r.task.Config.Model != "" {
		services = append(services, r.task.Config.Model)
	}
	for _, service := range services {
		ctx, cancel := r.task.deadline()
		status, err := r.client.Health(ctx, service)
		cancel()
		if err != nil {
			return err
		}
		r.lines.write(healthLine{service, string(status)})
	}
	return nil
}

func (r *runner) models() error {
	ctx, cancel := r.task.deadline()
	defer cancel()
	models, err := r.client.ListModels(ctx)
	if err != nil {
		return err
	}
	for _, model := range models {
		line := modelLine{Model: model.Name, DefaultVersion: model.DefaultVersion, Versions: []versionLine{}}
		for _, version := range model.Versions {
			labels := append([]string{}, version.Labels...)
			line.Versions = append(line.Versions, versionLine{version.Version, string(version.State), labels})
		}
		r.lines.write(line)
	}
	return nil
}

func (r *runner) watch() error {
	ctx, cancel := r.task.deadline()
	defer cancel()
	return r.follow(ctx)
}

// follow writes events until enough have come after the first whole state. Leaving the loop cancels the call.
func (r *runner) follow(ctx context.Context) error {
	var names []string
	if r.task.Config.Model != "" {
		names = append(names, r.task.Config.Model)
	}
	synced, changes := false, 0
	for event, err := range r.client.WatchModels(ctx, names...) {
		if err != nil {
			return err
		}
		r.lines.write(eventLine{string(event.Kind), event.Model, event.Version, string(event.State)})
		if synced {
			changes++
		}
		synced = synced || event.Kind == sentinova.EventSynced
		if synced && changes >= r.task.Events {
			return nil
		}
	}
	return fmt.Errorf("the watch ended after %d of %d events", changes, r.task.Events)
}
