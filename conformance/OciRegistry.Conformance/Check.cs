namespace OciRegistry.Conformance;

/// <summary>How binding a rule is, in the words of RFC 2119. A MAY that is not met does not count.</summary>
internal enum Level
{
    Must,
    Should,
    May,
}

/// <summary>One rule and the requests that prove it; <c>Run</c> throws when the rule is broken.</summary>
/// <param name="Level">How binding it is.</param>
/// <param name="Rule">The rule as a sentence, led by the spec's end-number where there is one.</param>
/// <param name="Run">What proves it, in repositories of its own.</param>
internal sealed record Check(Level Level, string Rule, Func<Repository, Task> Run);
