namespace OciRegistry;

/// <summary>The pages of other sites that a browser may let read this registry (CORS).</summary>
public sealed class CrossOriginOptions
{
    /// <summary>Lets pages of every site read, without credentials of the browser, and change nothing.</summary>
    internal const string Every = "*";

    /// <summary>
    /// Origins of pages that may use the registry in a browser, as <c>https://ui.example.com</c>: whatever their user or token may do
    /// under <c>/v2/</c> and <c>/token</c>, and nothing under <c>/admin</c>. The single entry <c>*</c> lets pages of every site read
    /// without the browser's credentials; they change nothing.
    /// </summary>
    /// <value>none</value>
    public IList<string> Origins { get; set => field = value ?? []; } = [];

    internal IEnumerable<string> Problems()
    {
        if (Origins.Count > 1 && Origins.Contains(Every))
        {
            yield return "Cors:Origins has '*' and other origins. Keep '*' alone, or list every origin without it.";
        }

        foreach (var origin in Origins.Where(origin => origin != Every && !IsOrigin(origin)))
        {
            yield return $"Cors:Origins has '{origin}', which is not an origin as browsers send it. Write it with scheme and host, and the port only "
                + "if it is not the scheme's own, as https://ui.example.com or http://localhost:3000.";
        }
    }

    // Browsers send lower case, ASCII, no default port and no slash at the end.
    private static bool IsOrigin(string text) =>
        Uri.TryCreate(text, UriKind.Absolute, out var uri)
        && uri.Scheme is "http" or "https"
        && uri.UserInfo.Length == 0
        && text.All(char.IsAscii)
        && text == uri.GetLeftPart(UriPartial.Authority);
}
