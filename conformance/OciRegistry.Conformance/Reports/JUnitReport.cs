using System.Globalization;
using System.Xml;
using System.Xml.Linq;

namespace OciRegistry.Conformance.Reports;

/// <summary>JUnit XML, one suite per area. Its failures are those of the exit code: an unmet MAY is a skip.</summary>
internal static class JUnitReport
{
    public static void Write(string file, IReadOnlyList<Outcome> outcomes)
    {
        var suites = outcomes.GroupBy(outcome => outcome.Area).Select(area => new XElement(
            "testsuite",
            new XAttribute("name", area.Key.Name),
            new XAttribute("tests", area.Count()),
            new XAttribute("failures", area.Count(outcome => outcome.Failed)),
            new XAttribute("skipped", area.Count(outcome => outcome.Declined)),
            new XAttribute("time", Seconds(area.Sum(outcome => outcome.Duration.TotalSeconds))),
            area.Select(Case)));
        new XDocument(new XElement("testsuites", suites)).Save(file);
    }

    private static XElement Case(Outcome outcome)
    {
        var test = new XElement(
            "testcase",
            new XAttribute("classname", outcome.Area.Name),
            new XAttribute("name", Printable(outcome.Check.Rule)),
            new XAttribute("time", Seconds(outcome.Duration.TotalSeconds)));
        if (outcome.Failure is { } failure)
        {
            test.Add(new XElement(
                outcome.Failed ? "failure" : "skipped",
                new XAttribute("message", Printable(failure.Expected)),
                new XAttribute("type", outcome.Check.Level.ToString().ToUpperInvariant()),
                Printable(ConsoleReport.Explain(failure))));
        }

        return test;
    }

    private static string Seconds(double value) => value.ToString("0.000", CultureInfo.InvariantCulture);

    // XML has no way to write most control characters, not even escaped.
    private static string Printable(string text) =>
        string.Concat(text.Select(c => c == '\n' || XmlConvert.IsXmlChar(c) ? c : '.'));
}
