"""The one place that composes the way of the data: all fitting is called here."""
