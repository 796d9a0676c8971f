namespace OciRegistry.Conformance;

/// <summary>A rule was broken: what was expected, and the answer that came instead (null: no answer came).</summary>
internal sealed class CheckFailedException(string expected, Answer? answer = null, Exception? inner = null)
    : Exception(expected, inner)
{
    public string Expected => Message;

    public Answer? Answer => answer;
}
