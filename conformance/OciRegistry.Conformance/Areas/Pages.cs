using System.Globalization;
using System.Text.RegularExpressions;

namespace OciRegistry.Conformance.Areas;

/// <summary>Reads lists that may come in pages.</summary>
internal static partial class Pages
{
    private const int MostPages = 200;

    /// <summary>The list of strings under a property, as one answer brings it.</summary>
    public static List<string> Strings(this Answer answer, string property) =>
        answer.Json()[property] is JsonArray items
            ? [.. items.Select(item => item?.ToString() ?? "")]
            : throw answer.Failure($"a JSON array {property}");

    /// <summary>
    /// The next page by its Link, null at the end. end-8b: a Link MUST be of RFC 5988 and say <c>rel="next"</c>.
    /// </summary>
    public static Request? Next(this Answer answer, Registry registry)
    {
        if (!answer.All("Link").Any())
        {
            return null;
        }

        var link = LinkValue().Match(answer.Header("Link"));
        return link.Success
            ? registry.Request("GET", new Uri(answer.Request.Uri, link.Groups[1].Value))
            : throw answer.Failure("Link: <…>; rel=\"next\"");
    }

    /// <summary>All pages, and the last answer to blame; no page may be larger than <paramref name="most"/>.</summary>
    public static async Task<(List<string> All, Answer Last)> AllAsync(
        Request first, string property, int most = int.MaxValue)
    {
        var all = new List<string>();
        var request = first;
        for (var page = 0; ; page++)
        {
            var answer = await request.Answers(200);
            var items = answer.Strings(property);
            if (items.Count > most)
            {
                throw answer.Failure(string.Create(CultureInfo.InvariantCulture, $"at most {most} {property}"));
            }

            if (page == MostPages)
            {
                throw answer.Failure($"an end of the list after {MostPages} pages");
            }

            all.AddRange(items);
            if (answer.Next(first.Registry) is not { } next)
            {
                return (all, answer);
            }

            request = next;
        }
    }

    /// <summary>The same strings, each once, in whatever order: order is a rule of its own.</summary>
    public static bool AreTheSame(IReadOnlyCollection<string> listed, IReadOnlyCollection<string> expected) =>
        listed.Count == expected.Count && expected.ToHashSet().SetEquals(listed);

    [GeneratedRegex("^<([^>]+)>\\s*;\\s*rel=\"?next\"?\\s*$")]
    private static partial Regex LinkValue();
}
