namespace OciRegistry.PullThrough;

/// <summary>
/// An upstream leads to where this registry does not go, or answers what it does not take. The message is for whoever asked.
/// </summary>
internal sealed class UpstreamRefusedException(string message) : IOException(message);
