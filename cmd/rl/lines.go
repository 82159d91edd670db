package main

import (
	"os"
	"strings"
)

// printText writes to stdout. That it can't be written is an error: who reads a list that was cut short takes it for the whole.
func printText(text string) error {
	_, err := os.Stdout.WriteString(text)
	return err
}

// printLines writes a line each.
func printLines(lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	return printText(strings.Join(lines, "\n") + "\n")
}
