using System.Text;

namespace OciRegistry.Benchmarks.Support;

/// <summary>Rows of as many cells as the first has, which is the heading.</summary>
internal static class MarkdownTable
{
    public static string Of(IEnumerable<string[]> cells)
    {
        var rows = cells.ToList();
        var widths = rows[0].Select((_, column) => rows.Max(row => row[column].Length)).ToList();
        rows.Insert(1, [.. widths.Select(width => new string('-', width))]);

        var table = new StringBuilder();
        foreach (var row in rows)
        {
            table.Append("| ").AppendJoin(" | ", row.Select((cell, column) => cell.PadRight(widths[column]))).AppendLine(" |");
        }

        return table.ToString();
    }
}
