using System.Text;

namespace OciRegistry.Benchmarks.Support;

internal sealed record Figure(string Scenario, string Name, string Aim, string Measured, bool IsMissed);

/// <summary>The table of all figures, in Markdown.</summary>
internal sealed class Report
{
    private readonly List<Figure> _figures = [];

    public bool HasMissedAnAim => _figures.Any(figure => figure.IsMissed);

    public void Add(Figure figure)
    {
        _figures.Add(figure);
        Console.Error.WriteLine($"  {figure.Name}: {figure.Measured}");
    }

    public override string ToString()
    {
        var rows = _figures
            .Select(f => (string[])[f.Scenario, f.Name, f.Aim, f.Measured + (f.IsMissed ? " (missed)" : "")])
            .Prepend(["scenario", "figure", "aim", "measured"])
            .ToList();
        var widths = Enumerable.Range(0, 4).Select(column => rows.Max(row => row[column].Length)).ToList();
        rows.Insert(1, [.. widths.Select(width => new string('-', width))]);

        var table = new StringBuilder();
        foreach (var row in rows)
        {
            table.Append("| ").AppendJoin(" | ", row.Select((cell, column) => cell.PadRight(widths[column]))).AppendLine(" |");
        }

        return table.ToString();
    }
}
