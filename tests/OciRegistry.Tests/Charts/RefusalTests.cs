using System.Text.RegularExpressions;

namespace OciRegistry.Tests.Charts;

/// <summary>Values that cannot work together: Helm was told so, all of it at once, with what to do.</summary>
public sealed partial class RefusalTests
{
    public static TheoryData<string> IllegalCases => RegistryChart.IllegalCases;

    [Theory]
    [MemberData(nameof(IllegalCases))]
    public void Each_case_is_refused_for_the_reasons_that_it_gives_and_no_others(string name)
    {
        var refused = RegistryChart.Read("ci", "golden", "illegal", $"{name}.txt");
        var reasons = Reason().Matches(RegistryChart.Read("ci", "illegal", $"{name}.yaml")).Select(line => line.Groups["text"].Value).ToList();

        reasons.ShouldNotBeEmpty();
        foreach (var reason in reasons)
        {
            refused.ShouldContain(reason.Split('/')[^1]);
        }

        if (!refused.Contains("schema", StringComparison.Ordinal))
        {
            var sentences = Sentence().Matches(refused).Select(line => line.Value).ToList();
            sentences.Count.ShouldBe(reasons.Count, refused);
            sentences.ShouldAllBe(sentence => Remedy().IsMatch(sentence));
        }
    }

    [Fact]
    public void Every_sentence_has_a_case()
    {
        // What is computed stands between {{ and }}.
        var sentences = Sentence().Matches(RegistryChart.Read("templates", "_problems.tpl"))
            .Select(line => Regex.Replace(line.Value[2..], @"\{\{.*?\}\}", "\n").Split('\n').MaxBy(part => part.Length)!.Trim())
            .ToList();
        var refused = string.Concat(RegistryChart.IllegalCases.Select(one => RegistryChart.Read("ci", "golden", "illegal", $"{one.Data}.txt")));

        sentences.Count.ShouldBeGreaterThan(35);
        sentences.Where(sentence => !refused.Contains(sentence, StringComparison.Ordinal)).ShouldBeEmpty();
    }

    [GeneratedRegex("^# Refused(?: by the schema)?: (?<text>.+)$", RegexOptions.Multiline)]
    private static partial Regex Reason();

    [GeneratedRegex(@"^\* .+$", RegexOptions.Multiline)]
    private static partial Regex Sentence();

    [GeneratedRegex(@"\b(Set|Leave|Lower|Put|leave|Let)\b.*\.$")]
    private static partial Regex Remedy();
}
