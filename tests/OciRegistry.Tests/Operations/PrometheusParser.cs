using System.Globalization;
using System.Text.RegularExpressions;

namespace OciRegistry.Tests.Operations;

/// <summary>
/// Reads the Prometheus text format 0.0.4 as strictly as its document allows, and throws at the first deviation: every
/// line ends in LF, HELP and TYPE come once and first, a family's samples stand together, no series comes twice,
/// histograms are cumulative and end in +Inf, which equals _count.
/// </summary>
internal static partial class PrometheusParser
{
    public static IReadOnlyList<Family> Parse(string text)
    {
        text.ShouldEndWith("\n");
        var families = new List<Family>();
        foreach (var line in text[..^1].Split('\n'))
        {
            if (line.StartsWith("# HELP ", StringComparison.Ordinal))
            {
                var help = HelpLine().Match(line);
                help.Success.ShouldBeTrue(line);
                families.ShouldAllBe(family => family.Name != help.Groups["name"].Value);
                families.Add(new Family(help.Groups["name"].Value));
            }
            else if (line.StartsWith("# TYPE ", StringComparison.Ordinal))
            {
                var type = TypeLine().Match(line);
                type.Success.ShouldBeTrue(line);
                families[^1].Name.ShouldBe(type.Groups["name"].Value);
                families[^1].Type.ShouldBeEmpty(line);
                families[^1].Samples.ShouldBeEmpty(line);
                families[^1].Type = type.Groups["type"].Value;
            }
            else
            {
                families[^1].Add(ParseSample(line));
            }
        }

        families.ForEach(family => family.Check());
        return families;
    }

    private static Sample ParseSample(string line)
    {
        var match = SampleLine().Match(line);
        match.Success.ShouldBeTrue(line);
        var labels = match.Groups["label"].Captures.Zip(match.Groups["value"].Captures)
            .ToDictionary(label => label.First.Value, label => Unescaped(label.Second.Value), StringComparer.Ordinal);
        return new Sample(match.Groups["name"].Value, labels, Number(match.Groups["number"].Value));
    }

    public static double Number(string text) => text switch
    {
        "+Inf" => double.PositiveInfinity,
        "-Inf" => double.NegativeInfinity,
        _ => double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture),
    };

    private static string Unescaped(string text) =>
        Escape().Replace(text, match => match.Value switch { @"\n" => "\n", @"\\" => @"\", _ => "\"" });

    [GeneratedRegex("""^# HELP (?<name>[a-zA-Z_:][a-zA-Z0-9_:]*) (?:[^\\]|\\\\|\\n)+$""")]
    private static partial Regex HelpLine();

    [GeneratedRegex("""^# TYPE (?<name>[a-zA-Z_:][a-zA-Z0-9_:]*) (?<type>counter|gauge|histogram)$""")]
    private static partial Regex TypeLine();

    [GeneratedRegex(
        """^(?<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?:(?:(?<!\{),)?(?<label>[a-zA-Z_][a-zA-Z0-9_]*)="(?<value>(?:[^"\\]|\\["\\n])*)")+\})? (?<number>[+-]Inf|NaN|-?[0-9.]+(?:E[+-][0-9]+)?)$""")]
    private static partial Regex SampleLine();

    [GeneratedRegex("""\\["\\n]""")]
    private static partial Regex Escape();

    internal sealed record Sample(string Name, Dictionary<string, string> Labels, double Value)
    {
        public string Series =>
            Name + string.Concat(Labels.OrderBy(l => l.Key, StringComparer.Ordinal).Select(l => $"|{l.Key}={l.Value}"));
    }

    internal sealed class Family(string name)
    {
        public string Name { get; } = name;

        public string Type { get; set; } = "";

        public List<Sample> Samples { get; } = [];

        /// <summary>The one sample that has just these labels.</summary>
        public double this[params (string Name, string Value)[] labels] => Samples.Single(
            sample => sample.Labels.Count == labels.Length
                && labels.All(label => sample.Labels.GetValueOrDefault(label.Name) == label.Value)).Value;

        public void Add(Sample sample)
        {
            Type.ShouldNotBeEmpty(sample.Series);
            string[] names = Type == "histogram" ? [$"{Name}_bucket", $"{Name}_sum", $"{Name}_count"] : [Name];
            names.ShouldContain(sample.Name);
            Samples.ShouldAllBe(other => other.Series != sample.Series);
            Samples.Add(sample);
        }

        public void Check()
        {
            Type.ShouldNotBeEmpty(Name);
            if (Type == "counter")
            {
                Name.ShouldEndWith("_total");
                Samples.ShouldAllBe(sample => sample.Value >= 0);
            }

            if (Type == "histogram")
            {
                CheckHistogram();
            }
        }

        private void CheckHistogram()
        {
            foreach (var count in Samples.Where(sample => sample.Name == $"{Name}_count"))
            {
                var buckets = Samples.Where(sample => sample.Name == $"{Name}_bucket"
                    && count.Labels.All(label => sample.Labels[label.Key] == label.Value)).ToList();
                buckets.Select(bucket => Number(bucket.Labels["le"])).ShouldBeInOrder();
                buckets.Select(bucket => bucket.Value).ShouldBeInOrder();
                buckets[^1].Labels["le"].ShouldBe("+Inf");
                buckets[^1].Value.ShouldBe(count.Value);
                Samples.Count(sample => sample.Name == $"{Name}_sum").ShouldBe(
                    Samples.Count(sample => sample.Name == $"{Name}_count"));
            }
        }
    }
}
