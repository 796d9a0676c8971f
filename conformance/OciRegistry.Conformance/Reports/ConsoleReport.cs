using System.Text;
using System.Text.RegularExpressions;

namespace OciRegistry.Conformance.Reports;

/// <summary>What a person reads: each failure with its exchange, a table of the areas, one last line.</summary>
internal static partial class ConsoleReport
{
    private const int BodyLength = 300;

    public static void Write(TextWriter output, IReadOnlyList<Outcome> outcomes, bool verbose)
    {
        foreach (var outcome in outcomes.Where(outcome => verbose || !outcome.Passed))
        {
            output.WriteLine(Describe(outcome));
        }

        output.WriteLine($"{"area",-24}{"passed",8}{"failed",8}{"MAY not met",14}");
        foreach (var area in outcomes.GroupBy(outcome => outcome.Area))
        {
            var (passed, failed) = (area.Count(outcome => outcome.Passed), area.Count(outcome => outcome.Failed));
            output.WriteLine($"{area.Key.Name,-24}{passed,8}{failed,8}{area.Count() - passed - failed,14}");
        }

        output.WriteLine();
        output.WriteLine($"{outcomes.Count(o => o.Passed)} passed, {outcomes.Count(o => o.Failed)} failed");
    }

    public static string Describe(Outcome outcome)
    {
        var text = new StringBuilder();
        var verdict = outcome.Passed ? "ok  " : outcome.Failed ? "FAIL" : "not ";
        var level = outcome.Check.Level.ToString().ToUpperInvariant();
        text.Append($"{verdict} {level,-6} {outcome.Area.Name} | {outcome.Check.Rule}");
        if (outcome.Failure is { } failure)
        {
            text.AppendLine().Append(Explain(failure));
        }

        return text.ToString();
    }

    public static string Explain(CheckFailedException failure)
    {
        var text = new StringBuilder();
        if (failure.Answer is { } answer)
        {
            text.AppendLine($"       request:  {answer.Request}");
        }

        text.AppendLine($"       expected: {failure.Expected}");
        text.AppendLine($"       got:      {(failure.Answer is null ? "no answer to judge" : Got(failure.Answer))}");
        return text.ToString();
    }

    private static string Got(Answer answer)
    {
        var headers = answer.Headers.Where(header => Relevant().IsMatch(header.Name));
        var text = new StringBuilder($"{answer.Status}");
        foreach (var (name, value) in headers)
        {
            text.Append($" | {name}: {value}");
        }

        if (answer.Body.Length > 0)
        {
            // Blobs are random bytes: only what can be printed is.
            var body = string.Concat(answer.Text.Take(BodyLength).Select(c => char.IsControl(c) || c > '~' ? '.' : c));
            text.AppendLine().Append($"                 {body}");
        }

        return text.ToString();
    }

    [GeneratedRegex("^((Content|OCI|Docker-Content)-.*|Location|Range|ETag|Allow|Link|Warning|Transfer-Encoding"
        + "|WWW-Authenticate|X-Request-Id|Retry-After)$", RegexOptions.IgnoreCase)]
    private static partial Regex Relevant();
}
