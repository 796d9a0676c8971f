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

    public override string ToString() => MarkdownTable.Of(_figures
        .Select(f => (string[])[f.Scenario, f.Name, f.Aim, f.Measured + (f.IsMissed ? " (missed)" : "")])
        .Prepend(["scenario", "figure", "aim", "measured"]));
}
